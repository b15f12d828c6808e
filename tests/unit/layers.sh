#!/bin/bash
# Which folder may include which, and through which files each foreign library comes in. Prints what breaks a rule.
cd "$(dirname "$0")/../.." || exit 1
bad=0

# direction FOLDER ALLOWED...: our own headers that the folder may include
direction()
{
    local folder=$1 found
    shift
    found=$(grep -rnE '^#include "[a-z]+/' agent/"$folder" include/"$folder" |
        grep -vE "#include \"($(IFS='|'; echo "$*"))/")
    [ -z "$found" ] || { echo "$folder may only include: $*"; echo "$found"; bad=1; } >&2
}
direction base base
direction collect base collect
direction ledger base ledger
direction report base ledger report

# door LIBRARY HEADER-PATTERN FILE-PATTERN: files that may include its headers
door()
{
    local found
    found=$(grep -rnE "^#include <($2)" agent include | grep -vE "^($3)")
    [ -z "$found" ] || { echo "$1 comes in through $3 only"; echo "$found"; bad=1; } >&2
}
door libconfig 'libconfig\.h' 'agent/base/conf[a-z_]*\.c|include/base/conf_[a-z]+\.h'
door libidn2 'idn2\.h' 'agent/base/conf_names\.c'
door c-ares 'ares[a-z_]*\.h' 'agent/collect/dns[a-z_]*\.c|include/collect/dns_[a-z]+\.h'
door libunbound 'unbound\.h' 'agent/collect/dnssec[a-z_]*\.c'
door OpenSSL 'openssl/' 'agent/collect/(tls|listen)[a-z_]*\.c|include/collect/tls_[a-z]+\.h'
door libcurl 'curl/' 'agent/collect/(proxy|curl_loop|fetch)[a-z_]*\.c|include/collect/curl_loop\.h'
door Net-SNMP 'net-snmp/' 'agent/report/|include/report/'
door pthread 'pthread\.h' 'agent/base/queue\.c|agent/collect/collector[a-z_]*\.c|agent/report/history_thread\.c'
door zlib 'zlib\.h' 'agent/collect/(tlsrpt|feed_gzip)[a-z_]*\.c'
door libyaml 'yaml\.h' 'agent/cli/import_yaml\.c'
door SQLite 'sqlite3\.h' 'agent/report/history[a-z_]*\.c'
door PCRE2 'pcre2\.h' 'agent/collect/rule[a-z_]*\.c|include/collect/rule_internal\.h'
door Vectorscan 'hs\.h' 'agent/collect/rule_prefilter\.c'
exit $bad
