"""What the story asks of the API."""

TRAINING_SHEETS = "{ trainingSheets(first: 100) { nodes { id name } } }"
ELIGIBILITY = """
query($id: ID!) {
  trainingSheet(id: $id) {
    eligibility { totalPairs eligiblePairs trainPairs valPairs excluded { verdict count } }
  }
}
"""
SEEN_OF_JOBS = """
query($sheet: ID!) {
  trainingJobs(filter: {trainingSheetId: $sheet}) {
    nodes { totalPairs lineage { pairs { totalCount } } events { totalCount } }
  }
}
"""
JOB = """
query($id: ID!) {
  trainingJob(id: $id) {
    status progressPercent currentEpoch totalPairs trainPairs valPairs datasetDigest errorCode errorMessage
    metrics { trainLoss valAccuracy epochsCompleted }
  }
}
"""
LINEAGE = """
query($id: ID!, $after: String) {
  trainingJob(id: $id) {
    lineage { pairs(first: 100, after: $after) {
      nodes { qaPairId split position digest qaPair { messages { content } } }
      pageInfo { endCursor hasNextPage }
    } }
  }
}
"""
PAIRS = """
query($id: ID!, $after: String) {
  trainingSheet(id: $id) {
    qaPairs(first: 100, after: $after) {
      nodes { id itemRef status verdict messages { role content } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
PAIR_IDS = "query($id: ID!) { trainingJob(id: $id) { lineage { qaPairIds } } }"
HISTORY = """
query($id: ID!) {
  trainingJob(id: $id) { metricHistory(keys: ["long"], maxPoints: 500) { key steps values timestamps } }
}
"""
