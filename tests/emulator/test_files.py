"""Files and directories of volumes, as the Files API has them."""

import pytest

from tests.emulator.clients import TRAIN, VOLUME, Client, conversations

FILES, DIRECTORIES = "/api/2.0/fs/files", "/api/2.0/fs/directories"


async def test_a_file_comes_back_as_it_was_sent(client: Client) -> None:
    await client.upload(f"{VOLUME}/deep/er/train file.bin", b"\x00\xff\r\n")
    path = f"{FILES}{VOLUME}/deep/er/train file.bin"
    whole, head = await client.get(path), await client.http.head(path)
    part = await client.http.get(path, headers={"Range": "bytes=1-"})

    assert (whole.status_code, whole.content) == (200, b"\x00\xff\r\n")
    assert (head.headers["content-length"], head.content) == ("4", b"")
    assert head.headers["last-modified"] == whole.headers["last-modified"]
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"\xff\r\n", "bytes 1-3/4")


async def test_a_file_is_overwritten_only_when_asked(client: Client) -> None:
    await client.upload(TRAIN, b"one")
    refused = await client.http.put(f"{FILES}{TRAIN}", content=b"two")

    assert (refused.status_code, refused.json()["error_code"]) == (409, "ALREADY_EXISTS")
    assert (await client.get(f"{FILES}{TRAIN}")).content == b"one"
    await client.upload(TRAIN, b"three")
    assert (await client.get(f"{FILES}{TRAIN}")).content == b"three"


async def test_a_deleted_file_is_gone(client: Client) -> None:
    await client.upload()
    assert (await client.http.delete(f"{FILES}{TRAIN}")).status_code == 204
    assert (await client.http.head(f"{FILES}{TRAIN}")).status_code == 404
    assert (await client.http.delete(f"{FILES}{TRAIN}")).json()["error_code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/Volumes/main/ft/other/x", 404, "Volume 'main.ft.other' does not exist."),
        ("/Volumes/main/ft", 400, "Invalid path: '/Volumes/main/ft' has to name a catalog, a schema and a volume"),
        ("/elsewhere/x", 400, "Invalid path: unsupported first path component in '/elsewhere/x'"),
        ("/Volumes/main/ft/data/%2e%2e/%2e%2e/x", 400, "Invalid path: '/Volumes/main/ft/data/../../x'"),
    ],
)
async def test_a_place_that_is_none_is_refused(client: Client, path: str, status: int, message: str) -> None:
    answer = await client.http.put(f"{FILES}{path}", content=b"x")

    assert (answer.status_code, answer.json()["message"]) == (status, message)


async def test_directories_are_made_with_their_parents_and_listed_in_pages(client: Client) -> None:
    assert (await client.http.put(f"{DIRECTORIES}{VOLUME}/a/b")).status_code == 204
    assert (await client.http.head(f"{DIRECTORIES}{VOLUME}/a")).status_code == 200
    for name in ("x", "y"):
        await client.upload(f"{VOLUME}/a/{name}", b"12")
    first = (await client.get(f"{DIRECTORIES}{VOLUME}/a", page_size=2)).json()
    second = (await client.get(f"{DIRECTORIES}{VOLUME}/a", page_size=2, page_token=first["next_page_token"])).json()

    entries = [
        (one["path"], one["is_directory"], one.get("file_size")) for one in first["contents"] + second["contents"]
    ]
    assert entries == [(f"{VOLUME}/a/b/", True, None), (f"{VOLUME}/a/x", False, 2), (f"{VOLUME}/a/y", False, 2)]
    assert "next_page_token" not in second


async def test_only_an_empty_directory_is_deleted(client: Client) -> None:
    await client.upload(f"{VOLUME}/a/x", b"")
    assert (await client.http.delete(f"{DIRECTORIES}{VOLUME}/a")).status_code == 400
    await client.http.delete(f"{FILES}{VOLUME}/a/x")
    assert (await client.http.delete(f"{DIRECTORIES}{VOLUME}/a")).status_code == 204
    assert (await client.get(f"{DIRECTORIES}{VOLUME}/a")).status_code == 404


async def test_large_files_are_sent_to_the_way_that_is_there(client: Client) -> None:
    """The SDK falls back to one upload when it is told that presigned addresses are not enabled."""
    answer = await client.http.post(f"{FILES}{TRAIN}", params={"action": "initiate-upload"})

    assert answer.status_code == 403
    assert answer.json()["details"][0]["reason"] == "FILES_API_API_IS_NOT_ENABLED"


async def test_volumes_are_listed_as_dbfs_lists(client: Client) -> None:
    await client.upload(TRAIN, conversations(1))
    answer = await client.http.request("GET", "/api/2.0/fs/list", json={"path": VOLUME})

    [listed] = answer.json()["files"]
    assert (listed["path"], listed["is_dir"], listed["file_size"]) == (f"dbfs:{TRAIN}", False, len(conversations(1)))
    assert (await client.http.request("GET", "/api/2.0/fs/list", json={"path": f"{VOLUME}/no"})).status_code == 404
