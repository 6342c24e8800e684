"""What the tests of whole jobs ask of the API, and the data they train on."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from server.commands.demo.client import Client, Data

TOPICS = 40
BATCH_SIZE = 4  # small, so that an epoch takes its time
WORDINGS = (
    "How do I {topic}?",
    "What is the way to {topic}?",
    "Somebody asked me to {topic}, what now?",
    "I need to {topic} before noon.",
    "Can you tell me how to {topic} please?",
)

CREATE_SHEET = """
mutation($name: String!) {
  createSheet(input: {name: $name, source: EXTERNAL}) { __typename ... on Sheet { id } ... on Problem { message } }
}
"""
CREATE_TEMPLATE = """
mutation($name: String!) {
  createTemplate(input: {name: $name, userPrompt: "{question}"}) {
    __typename ... on Template { id } ... on Problem { message }
  }
}
"""
CREATE_TRAINING_SHEET = """
mutation($input: CreateTrainingSheetInput!) {
  createTrainingSheet(input: $input) { __typename ... on TrainingSheet { id } ... on Problem { message } }
}
"""
ADD_PAIRS = """
mutation($input: AddQaPairsInput!) {
  addQaPairs(input: $input) { __typename ... on QaPairsPayload { count } ... on Problem { message } }
}
"""
CREATE_JOB = """
mutation($input: CreateTrainingJobInput!) {
  createTrainingJob(input: $input) { __typename ... on TrainingJob { id status } ... on Problem { code message } }
}
"""
CANCEL_JOB = """
mutation($id: ID!) {
  cancelTrainingJob(input: {jobId: $id, reason: "a test"}) {
    __typename ... on TrainingJob { id status cancelRequestedAt } ... on Problem { code message }
  }
}
"""
JOB = """
query($id: ID!) {
  trainingJob(id: $id) {
    status progressPercent currentEpoch trainerJobId errorCode errorMessage ucModelVersion
    metrics { epochsCompleted }
    events(first: 100) { nodes { sequence eventType oldStatus newStatus message } pageInfo { hasNextPage } totalCount }
  }
}
"""
COUNT_JOBS = "{ trainingJobs { totalCount } }"
UPDATES = "subscription($id: ID!) { trainingJobUpdated(id: $id) { status progressPercent currentEpoch } }"
EVENTS = """
subscription($id: ID!, $after: String) {
  trainingJobEvents(jobId: $id, after: $after) { sequence eventType oldStatus newStatus cursor }
}
"""


async def changed(client: Client, mutation: str, **variables: object) -> Data:
    """What a mutation answers, which must be no problem."""
    (result,) = (await client.ask(mutation, **variables)).values()
    assert "message" not in result, result
    answer: Data = result
    return answer


async def make_training_sheet(client: Client, topics: int = TOPICS) -> str:
    """A training sheet with some wordings of each question; its id."""
    sheet = await changed(client, CREATE_SHEET, name="Office")
    template = await changed(client, CREATE_TEMPLATE, name="Office help")
    names = {"name": "Office answers", "sheetId": sheet["id"], "templateId": template["id"]}
    training_sheet = await changed(client, CREATE_TRAINING_SHEET, input=names)
    pairs = [
        {
            "messages": [
                {"role": "user", "content": wording.format(topic=f"order item {topic} from shelf {topic * 7}")},
                {"role": "assistant", "content": f"Item {topic}: take form {topic * 3} to desk {topic * 7}."},
            ],
            "itemRef": f"item-{topic}-{number}",
            "status": "LABELED",
        }
        for topic in range(topics)
        for number, wording in enumerate(WORDINGS)
    ]
    await changed(client, ADD_PAIRS, input={"trainingSheetId": training_sheet["id"], "pairs": pairs})
    return str(training_sheet["id"])


def job_input(training_sheet_id: str, *, epochs: int, **more: object) -> Data:
    """The input of a job that trains on this machine."""
    return {
        "trainingSheetId": training_sheet_id,
        "modelName": "office",
        "baseModel": "local/retriever-small",
        "trainer": "LOCAL",
        "trainingConfig": {"epochs": epochs, "batch_size": BATCH_SIZE},
        **more,
    }


async def create_job(client: Client, training_sheet_id: str, *, epochs: int) -> str:
    """A new job's id."""
    answer = await changed(client, CREATE_JOB, input=job_input(training_sheet_id, epochs=epochs))
    return str(answer["id"])


async def until(client: Client, job_id: str, condition: Callable[[Data], bool], *, within: float = 60.0) -> Data:
    """Follow a job until a state of it meets the condition."""
    async with asyncio.timeout(within), aclosing(client.follow(UPDATES, id=job_id)) as stream:
        async for data in stream:
            state: Data = data["trainingJobUpdated"]
            if condition(state):
                return state
    raise AssertionError(f"The job ended otherwise: {await job(client, job_id)}")


async def job(client: Client, job_id: str) -> Data:
    """A job with its events."""
    found: Data = (await client.ask(JOB, id=job_id))["trainingJob"]
    assert found["events"]["pageInfo"]["hasNextPage"] is False
    return found


async def events(client: Client, job_id: str, after: str | None = None) -> AsyncGenerator[Data, None]:
    """The events of a job, to its end."""
    async with aclosing(client.follow(EVENTS, id=job_id, after=after)) as stream:
        async for data in stream:
            yield data["trainingJobEvents"]
