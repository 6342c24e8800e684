"""databricks-sdk as a service principal: OAuth, then any call, FMAPI's own included."""

import os

from databricks.sdk import WorkspaceClient

from tests.wire.steering import host, tell

MODELS = "query Models { getFinetuneConstants { models { name displayName maxContextLength } } }"


def main() -> None:
    client = WorkspaceClient(
        host=host(),
        client_id=os.environ["DATABRICKS_CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
        auth_type="oauth-m2m",
    )
    found = client.api_client.do("POST", "/api/2.0/genai-mapi/graphql", body={"query": MODELS, "variables": {}})
    models = found["data"]["getFinetuneConstants"]["models"] if isinstance(found, dict) else []
    tell({"user": client.current_user.me().user_name, "models": len(models)})


if __name__ == "__main__":
    main()
