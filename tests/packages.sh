#!/bin/sh
# Sees to it that Debian packages are there: tests/packages.sh SET..., where SET is build, demo, test, integration or bench; with
# --print it only names what is missing. Silent when nothing is. Works as root or through sudo; the daemons among the
# packages are neither started nor enabled for the next boot, because a machine that runs a demonstration is not to
# become a public web, SIP or DNS server. What was installed before, and its services, are left alone.

set -eu

build='gcc libc6-dev make autoconf automake pkg-config libsnmp-dev libcurl4-openssl-dev libconfig-dev libc-ares-dev libunbound-dev
    libssl-dev libpcre2-dev libvectorscan-dev libidn2-dev libjansson-dev libsystemd-dev
    libsqlite3-dev zlib1g-dev libyaml-dev'
demo='ca-certificates snmp snmptrapd knot kamailio kamailio-tls-modules nginx-light openssl python3 python3-cryptography'
test="$demo libcriterion-dev python3-pytest knot-dnsutils knot-dnssecutils snmpd unbound prosody prosody-modules tinyproxy iproute2 nftables
    util-linux procps clang libclang-rt-14-dev llvm valgrind smitools faketime systemd-journal-remote
    chromium-headless-shell tidy
    libdb5.3 libicu72 libnsl2 libsasl2-modules" # the last four: tests/system/lab_postfix.py
# nagios4-core wants some mail program; this one is no daemon.
integration="$test mandoc build-essential debhelper lintian nagios4-core msmtp-mta monitoring-plugins-basic monitoring-plugins-standard
    prometheus prometheus-snmp-exporter snmptt icinga2-bin
    zabbix-server-pgsql zabbix-frontend-php postgresql php-cli php-pgsql"
# check_curl of the plugins needs liburiparser1, which their package only recommends.
bench='pcre2-utils dnsperf prometheus-blackbox-exporter monitoring-plugins-basic monitoring-plugins-standard liburiparser1
    monitoring-plugins-contrib bind9-dnsutils bind9-host' # check_ssl_cert and what it and check_dig need

# Packages whose services would start, and the services.
daemons='icinga2 knot kamailio nagios4 nginx prometheus prometheus-snmp-exporter prosody postgresql snmpd snmptrapd snmptt tinyproxy unbound prometheus-blackbox-exporter zabbix-server'
policy=/usr/sbin/policy-rc.d

fail()
{
    echo "packages: $*" >&2
    exit 1
}

installed()
{
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) in
    ?i*) return 0 ;;
    *) return 1 ;;
    esac
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -- "$@"
    fi
}

# Installed services are not started while this file exists and ends with 101 (README.policy-rc.d of init-system-helpers).
forbid_starting()
{
    trap allow_starting EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    forbidden=yes
    if { [ -e $policy ] || [ -L $policy ]; } && [ ! -e $policy.before-fedwarden ]; then
        as_root mv $policy $policy.before-fedwarden
    fi
    printf '#!/bin/sh\nexit 101\n' >"$work/policy"
    as_root install -m 755 "$work/policy" $policy
}

allow_starting()
{
    trap '' INT TERM HUP
    if [ -n "$forbidden" ]; then
        as_root rm -f $policy
        if [ -e $policy.before-fedwarden ] || [ -L $policy.before-fedwarden ]; then
            as_root mv $policy.before-fedwarden $policy
        fi
    fi
    rm -rf "$work"
}

apt()
{
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
        -o DPkg::Lock::Timeout=120 "$@" >>"$work/log" 2>&1
}

install_missing()
{
    # The lists may be absent or name versions that the mirrors no longer have: then they are fetched, and once more.
    # shellcheck disable=SC2086 # a list of words
    apt install --no-install-recommends $missing && return
    if ! apt update || grep -q '^[WE]: Failed to fetch' "$work/log"; then
        tail -n 5 "$work/log" >&2
        fail "the package lists cannot be fetched. Is there a network, and is /etc/apt/sources.list right?" \
            "To install by hand: apt-get install --no-install-recommends $missing"
    fi
    # shellcheck disable=SC2086
    if ! apt install --no-install-recommends $missing; then
        tail -n 15 "$work/log" >&2
        fail "apt-get could not install them; its last words are above." \
            "By hand: apt-get install --no-install-recommends $missing"
    fi
}

print=
wanted=
why=
for argument; do
    case $argument in
    --print) print=yes ;;
    build) wanted="$wanted $build" why="$why and build" ;;
    demo) wanted="$wanted $demo" why="$why and demonstrate" ;;
    test) wanted="$wanted $test" why="$why and test" ;;
    integration) wanted="$wanted $integration" why="$why and connect management stations to" ;;
    bench) wanted="$wanted $bench" why="$why and measure" ;;
    *) fail "there is no set \"$argument\": build, demo, test, integration, bench" ;;
    esac
done
[ -n "$wanted" ] || fail "usage: tests/packages.sh [--print] build|demo|test|integration|bench..."
why=${why# and }

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    fail "this system has no apt-get. The packages' names on Debian 12 are:" $wanted
fi

missing=
for package in $wanted; do
    case " $missing " in
    *" $package "*) continue ;;
    esac
    installed "$package" || missing="$missing $package"
done
missing=${missing# }
[ -n "$missing" ] || exit 0
if [ -n "$print" ]; then
    echo "$missing"
    exit 0
fi

if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    fail "packages are missing, and neither am I root nor is there sudo. As root: apt-get install --no-install-recommends $missing"
fi
echo "Installing with apt-get, to $why fedwarden (services are neither started nor enabled): $missing"

work=$(mktemp -d)
forbidden=
absent=
for daemon in $daemons; do
    installed "$daemon" || absent="$absent $daemon"
done
forbid_starting
install_missing
for daemon in $absent; do
    if [ -e "/etc/init.d/$daemon" ] || [ -e "/lib/systemd/system/$daemon.service" ]; then
        as_root update-rc.d "$daemon" disable >>"$work/log" 2>&1 ||
            echo "packages: could not keep $daemon from starting at the next boot: update-rc.d $daemon disable" >&2
    fi
done
