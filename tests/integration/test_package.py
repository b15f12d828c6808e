"""The Debian package, built from the distribution tarball: lintian has nothing to say, it is installed, starts under a fresh
snmpd as its own user with the file that it ships, keeps its state over an upgrade and leaves nothing when it is purged.

Installed is it in a copy of this system (an overlay in a mount namespace of its own), without systemd: what the unit would
start is started as the unit says, by its user."""
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

import lab

NEEDED = ("dpkg-buildpackage", "dh", "lintian", "snmpd", "unshare", "systemd-sysusers", "systemd-analyze")
UNIT = "lib/systemd/system/fedwarden.service"
BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build"))

pytestmark = pytest.mark.skipif(any(not shutil.which(name, path=lab.PATH) for name in NEEDED),
                                reason=f"one of {', '.join(NEEDED)} is not installed")


def shell(script, timeout=300, **options):
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=timeout, check=False,
                          errors="replace", env=lab.environment(DEBIAN_FRONTEND="noninteractive", **options))
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the package, and with the same one as a later version."""
    folder = tmp_path_factory.mktemp("package")
    shell(f"""cd {BUILD} && make -s dist && mv fedwarden-*.tar.xz {folder}
        cd {folder} && tar xf fedwarden-*.tar.xz && mv fedwarden-*/ source && cd source
        dpkg-buildpackage -us -uc -b -j2 >../build.log 2>&1 || {{ tail -n 40 ../build.log; exit 1; }}""", timeout=600)
    shell(f"""cd {folder} && dpkg-deb -R fedwarden_*.deb later && sed -i 's/^Version: .*/Version: 999/' later/DEBIAN/control
        dpkg-deb --root-owner-group -b later later.deb""")
    return folder


def test_lintian_has_nothing_to_say(built):
    said = shell(f"cd {built} && lintian --allow-root -EvIL +pedantic fedwarden_*.changes 2>&1 || true")
    lines = [line for line in said.splitlines() if re.match(r"[EWIPX]: ", line)
             and "no-init.d-script" not in line]  # the service is systemd's
    assert not lines, said


def test_the_unit_is_hardened(built):
    unit = built / "source" / "debian" / "fedwarden" / UNIT
    verdict = shell(f"systemd-analyze security --offline=true {unit}")
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict).group(1))
    assert exposure <= 1.5, verdict


INSTALLED = r"""
set -eu
root=$1 deb=$2 later=$3
mount --make-rprivate /
mount -t tmpfs -o size=300m none "$root"
mkdir "$root"/upper "$root"/work "$root"/merged
mount -t overlay overlay -o lowerdir=/,upperdir="$root"/upper,workdir="$root"/work "$root"/merged || exit 77
m=$root/merged
mount --rbind /proc "$m"/proc
mount -t tmpfs none "$m"/run
mount -t tmpfs none "$m"/tmp
mount --rbind /dev "$m"/dev
ip link set lo up
printf '#!/bin/sh\nexit 101\n' >"$m"/usr/sbin/policy-rc.d
chmod +x "$m"/usr/sbin/policy-rc.d
cp "$deb" "$m"/tmp/first.deb
cp "$later" "$m"/tmp/later.deb
in_root() { chroot "$m" "$@"; }
in_root dpkg --purge fedwarden >/dev/null 2>&1 || true
find "$m"/etc "$m"/var/lib "$m"/usr "$m"/lib "$m"/run -xdev -iname '*fedwarden*' ! -path '*/dpkg/*' | sort >"$root"/before

in_root dpkg -i /tmp/first.deb
in_root dpkg -s fedwarden | grep -q '^Status: install ok installed'
in_root getent passwd fedwarden
in_root fedwarden check-config
in_root man -w fedwarden.conf

# A fresh snmpd, with the two lines that README names.
mkdir -p "$m"/run/agentx
cat >"$m"/tmp/snmpd.conf <<'END'
agentAddress udp:127.0.0.1:16161
rocommunity public 127.0.0.1
master agentx
agentXSocket /run/agentx/master
agentXPerms 0660 0550 root fedwarden
END
chroot "$m" snmpd -f -C -c /tmp/snmpd.conf -Le >"$root"/snmpd.log 2>&1 &
snmpd=$!
sed -i 's|"/var/agentx/master"|"/run/agentx/master"|' "$m"/etc/fedwarden/fedwarden.conf
start()
{
    chroot "$m" setpriv --reuid=fedwarden --regid=fedwarden --clear-groups --no-new-privs --bounding-set=-all \
        /usr/bin/fedwarden run -c /etc/fedwarden/fedwarden.conf >>"$root"/fedwarden.log 2>&1 &
    daemon=$!
}
health() { snmpget -m '' -v2c -c public -Oqv -t 1 -r 0 127.0.0.1:16161 .1.3.6.1.4.1.8072.9999.9999.1.1.2.1.0 2>/dev/null || true; }
answers()
{
    for _ in $(seq 300); do
        case $(health) in [1-4]) return 0 ;; esac
        sleep 0.1
    done
    tail -n 5 "$root"/snmpd.log
    cat "$root"/fedwarden.log
    return 1
}
start
answers
for _ in $(seq 100); do
    [ ! -s "$m"/var/lib/fedwarden/history.db ] || break
    sleep 0.1
done
test -s "$m"/var/lib/fedwarden/history.db
kill "$daemon"; wait "$daemon"

# An upgrade keeps the operator's file and the state.
in_root dpkg -i --force-confold /tmp/later.deb
in_root dpkg -s fedwarden | grep -q '^Version: 999'
grep -q '/run/agentx/master' "$m"/etc/fedwarden/fedwarden.conf
: >"$root"/fedwarden.log
start
answers
cat "$root"/fedwarden.log
kill "$daemon"; wait "$daemon"
kill "$snmpd"; wait "$snmpd" || true

in_root dpkg --purge fedwarden
find "$m"/etc "$m"/var/lib "$m"/usr "$m"/lib "$m"/run -xdev -iname '*fedwarden*' ! -path '*/dpkg/*' | sort >"$root"/after
diff "$root"/before "$root"/after
echo PURGED
"""


def test_installs_starts_upgrades_and_purges(built, tmp_path):
    script = tmp_path / "installed.sh"
    script.write_text(INSTALLED, encoding="ascii")
    root = tmp_path / "root"
    root.mkdir()
    package = next(path for path in built.glob("fedwarden_*.deb"))
    began = time.monotonic()
    done = subprocess.run(["unshare", "-m", "-n", "-p", "-f", "bash", script, root, package, built / "later.deb"],
                          capture_output=True, text=True, timeout=300, check=False, env=lab.environment(), errors="replace")
    if done.returncode == 77:
        pytest.skip("this system cannot mount an overlay")
    assert done.returncode == 0 and "PURGED" in done.stdout, done.stdout[-4000:] + done.stderr[-4000:]
    assert "history.db goes on" in done.stdout, done.stdout[-3000:]
    print(f"{time.monotonic() - began:.0f} s")
