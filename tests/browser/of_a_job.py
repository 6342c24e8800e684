"""`make screenshot`: GraphiQL of the real program streams a real job to its end, and docs/ gets the picture."""

import asyncio
import sys
from pathlib import Path

from tests.browser.chromium import NoChromium
from tests.browser.devtools import PageFailed
from tests.browser.screenshot import OPERATION, stream_in_graphiql
from tests.e2e import jobs
from tests.e2e.program import CHECKOUT, program, run

PICTURE = CHECKOUT / "docs" / "graphiql.png"
SAMPLE = CHECKOUT / "examples" / "invoice_desk.jsonl"
NAMES = ("--sheet", "Invoice desk", "--template", "Invoice desk", "--training-sheet", "Invoice desk answers")
EPOCHS = 60  # long enough to be followed from the beginning
SHEETS = "{ trainingSheets(first: 1) { nodes { id } } }"


async def take(picture: Path) -> int:
    """Train on the sample, watch it in a browser, and answer how many events the browser was shown."""
    async with program() as server:
        await server.start()
        imported = await run(server.data_dir, "import", str(SAMPLE), *NAMES)
        if imported.status:
            raise PageFailed(f"the sample could not be imported: {imported.complaints}")
        async with server.client() as client:
            sheet = (await client.ask(SHEETS))["trainingSheets"]["nodes"][0]
            job_id = await jobs.create_job(client, sheet["id"], epochs=EPOCHS)
        address = f"http://{server.authority}/graphql"
        return await stream_in_graphiql(address, OPERATION, {"jobId": job_id}, picture, done="SUCCEEDED")


def main() -> int:
    """0 when the picture was taken, 1 when the page failed, 2 without a browser."""
    try:
        events = asyncio.run(take(PICTURE))
    except PageFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except NoChromium as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{events} events were streamed to their end; {PICTURE.relative_to(CHECKOUT)} shows the last.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
