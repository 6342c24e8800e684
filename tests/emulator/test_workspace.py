"""The workspace's files."""

import base64

from tests.emulator.clients import FOLDER, Client

BASE = "/api/2.0/workspace"


async def test_imported_files_are_found_with_and_without_the_workspace_in_front(client: Client) -> None:
    await client.bundle()
    status = (await client.get(f"{BASE}/get-status", path=f"{FOLDER}/command.sh")).json()
    plain = FOLDER.removeprefix("/Workspace")
    exported = await client.get(f"{BASE}/export", path=f"{plain}/command.sh", direct_download="true")

    assert (status["object_type"], status["path"], status["size"]) == ("FILE", f"{FOLDER}/command.sh", 16)
    assert exported.content == b"python train.py\n"
    listed = (await client.get(f"{BASE}/list", path=FOLDER)).json()["objects"]
    assert [one["path"] for one in listed] == [f"{FOLDER}/command.sh", f"{FOLDER}/hyperparameters.yaml"]


async def test_an_import_as_json_is_base64_and_overwrites_only_when_asked(client: Client) -> None:
    path = "/Users/me@example.com/note.txt"

    async def put(content: bytes, *, overwrite: bool) -> int:
        encoded = base64.b64encode(content).decode()
        body = {"path": path, "content": encoded, "format": "AUTO", "overwrite": overwrite}
        return (await client.http.post(f"{BASE}/import", json=body)).status_code

    assert [await put(b"one", overwrite=False), await put(b"two", overwrite=False)] == [200, 400]
    assert (await client.get(f"{BASE}/export", path=path)).json()["content"] == base64.b64encode(b"one").decode()
    assert await put(b"two", overwrite=True) == 200
    assert (await client.get(f"{BASE}/export", path=path)).json()["content"] == base64.b64encode(b"two").decode()


async def test_an_import_needs_its_folder(client: Client) -> None:
    body = {"path": "/Users/me@example.com/none/x", "content": "", "format": "AUTO"}
    answer = await client.http.post(f"{BASE}/import", json=body)

    assert answer.status_code == 404
    message = "The parent folder (/Users/me@example.com/none) does not exist."
    assert answer.json() == {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}


async def test_a_folder_that_holds_something_is_deleted_only_with_all_of_it(client: Client) -> None:
    await client.bundle()
    refused = await client.http.post(f"{BASE}/delete", json={"path": FOLDER})
    deleted = await client.http.post(f"{BASE}/delete", json={"path": FOLDER, "recursive": True})

    assert (refused.status_code, refused.json()["error_code"]) == (400, "DIRECTORY_NOT_EMPTY")
    assert deleted.status_code == 200
    assert (await client.get(f"{BASE}/get-status", path=FOLDER)).status_code == 404
