"""The fault matrix of tests/system/lab_faults.py, side by side: fedwarden, blackbox_exporter, check_curl, check_ssl_cert and
check_dig are asked about each partner that they have a way to ask about, with the CA, the name, the certificate of ours
and the kind of STARTTLS that they can be told. Their whole output counts: the reason is exact when words are in it that
say it and no other, as WORDS has it, generously. A tool that stays quiet about a bad peer calls it healthy.

Of fedwarden the reason itself is compared. The targets: all exact, none wrongly healthy, no false alarm."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse

import lab

PLUGINS = pathlib.Path("/usr/lib/nagios/plugins")
NAME = "edge.lab.test"
PATIENCE = 5  # seconds that a tool is given by its own option; a walk of fedwarden has as many
TIMEOUT = r"time(d)? ?out|deadline exceeded|no servers could be reached"
WORDS = {
    "dnsNxDomain": r"NXDOMAIN|non-existent", "dnsNoData": r"NODATA|no answer|no data", "dnsServFail": r"SERVFAIL",
    "dnsRefused": r"REFUSED", "dnsTimeout": TIMEOUT, "dnsBogus": r"bogus|dnssec", "dnsSignatureExpired": r"signature.*expired",
    "dnsFiltered": r"filter|block|censor", "dnsUnreachableAuthority": r"unreachable|no reachable authority",
    "dnsServiceDenied": r"not (available|offered)|denied", "dnsSrvBadTarget": r"alias|CNAME|no address",
    "dnsMalformed": r"FORMERR|format error|malformed|unpack|bad rdata|overflow", "dnsLoop": r"loop|circular|chain",
    "dnsNotImplemented": r"NOTIMP|not implemented", "dnsOther": r"NOTAUTH|not auth", "tcpRefused": r"connection refused",
    "tcpTimeout": TIMEOUT, "tcpReset": r"reset|EOF|closed", "netUnreachable": r"network (is )?unreachable",
    "adminProhibited": r"prohibited|no route to host|unreachable", "appTimeout": TIMEOUT, "tlsHandshakeTimeout": TIMEOUT,
    "appProtocolError": r"unexpected|not.*match|protocol|no STARTTLS", "appRejected": r"\b[456]\d\d\b|rejected|refuse|host-unknown|not-authorized",
    "appOverloaded": r"\b(421|480|503)\b|unavailable|busy|temp|resource-constraint",
    "tlsUntrustedRoot": r"unknown authority|unable to get (local )?issuer|self.signed certificate in (certificate )?chain",
    "tlsIncompleteChain": r"incomplete|missing intermediate|unable to verify the first|cannot be verified",
    "tlsWrongPrincipal": r"mismatch|does ?n.t match|does not match|valid for|alternative|not valid for|contain any|legacy Common Name",
    "tlsExpired": r"(has|is) expired|expired (on|for)|certificate.*expired", "tlsNotYetValid": r"not yet valid|is before",
    "tlsSelfSigned": r"self.signed certificate(?! in)", "tlsRevoked": r"revoked", "tlsRevocationUnknown": r"OCSP|CRL|staple",
    "tlsWrongUsage": r"key usage|purpose", "tlsWeakKey": r"key too (small|weak)|weak.*key|bits", "tlsWeakSignature": r"sha-?1|md too weak|signature algorithm",
    "tlsBadSignature": r"signature (failure|is invalid)|verification failure|invalid signature", "tlsConstraintViolated": r"constraint|permitted|invalid CA|not authorized to sign|basic",
    "tlsUnknownCriticalExtension": r"critical extension", "tlsDepthExceeded": r"too (long|many)|path length", "tlsDistrusted": r"reject|distrust",
    "tlsPinMismatch": r"\bpin", "tlsIntercepted": r"intercept|inspection", "tlsExpiringSoon": r"expires? in|will expire",
    "tlsNoSharedProtocol": r"protocol version|unsupported protocol|no protocols", "tlsNoSharedCipher": r"handshake failure|no shared cipher|no common",
    "tlsClientCertRequired": r"certificate required|client certificate|bad certificate|400", "tlsClientCertRejectedCa": r"unknown ca|unknown certificate authority",
    "tlsClientCertRejected": r"revoked|bad certificate", "tlsClosedDuringHandshake": r"EOF|closed|unexpected eof|SYSCALL",
    "tlsPlaintext": r"wrong version|does not look like a TLS|plain", "tlsStartTlsNotOffered": r"starttls|STLS", "tlsStartTlsRefused": r"starttls|STLS|454",
    "tlsSniRejected": r"unrecognized name", "tlsAlpnMismatch": r"application protocol|ALPN", "tlsLocalCertificateProblem": r"client certificate.*expired|our.*expired|local",
    "tlsPeerInternalError": r"internal error", "tlsOther": r"\b255\b|alert", "tlsMalformedCertificate": r"parse|malformed|asn1|ASN\.1|decode",
    "tlsKeyProofFailed": r"invalid signature|bad signature|verification failure|ECDSA", "tlsProtocolViolation": r"unexpected message|violation|inject|decode|malformed|length",
    "tlsWeakParameters": r"dh key|small|weak", "noUsableAddress": r"no usable|address family", "connectionOther": r"500|general",
    "dnsUnexpectedAnswer": r"expected|differ", "dnsSrvForeignTarget": r"foreign|outside",
}
STARTTLS = {"smtp": "smtp", "imap": "imap", "pop3": "pop3", "ldap": "ldap", "xmpp": "xmpp-server", "xmpp-client": "xmpp"}
STREAM = ("<?xml version='1.0'?><stream:stream xmlns='jabber:{space}' xmlns:stream='http://etherx.jabber.org/streams' "
          "to='{domain}' version='1.0'>")
XMPP_TLS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
TALKS = {
    "smtp": [("expect", "^220"), ("send", "EHLO us.test"), ("expect", "STARTTLS"), ("expect", "^250 "), ("send", "STARTTLS"), ("expect", "^220")],
    "imap": [("expect", "OK"), ("send", ". STARTTLS"), ("expect", "OK")],
    "pop3": [("expect", r"^\+OK"), ("send", "STLS"), ("expect", r"^\+OK")],
}


class Case:
    """A partner: how to ask about it, and what is right."""

    def __init__(self, name, settings, expected, trust, resolvers):
        self.name, self.settings, self.trust = name, settings, trust
        self.reason, self.stage = expected
        self.protocol = settings["protocol"]
        self.fixed = "port" in settings and settings.get("host")
        self.address, self.port = settings["address"], settings.get("port")
        self.resolver = resolvers.get(settings.get("resolvers", ["knot"])[0]) if settings.get("resolvers", [1]) else None
        self.service = f"_sipfederationtls._tcp.{settings['domain']}"


def case_of(faults, name, resolvers):
    settings = {"resolvers": ["knot"], **faults.settings[name]}
    return Case(name, settings, faults.expected.get(name, ("none", "")), faults.trust_of(settings.get("trust", "lab")),
                resolvers)


def run(command, **options):
    """What hangs in spite of its own limit is ended, and has said what it has said."""
    done = subprocess.run(["timeout", "-k", "1", str(6 * PATIENCE), *(str(word) for word in command)], capture_output=True, text=True, errors="replace", check=False,
                          timeout=60, stdin=subprocess.DEVNULL, env=lab.environment(HOME="/tmp", **options))
    return done.returncode == 0, done.stdout + done.stderr


class Tool:
    def can(self, case):
        """A fixed endpoint that no proxy hides, and nothing that is only said inside TLS, but of HTTP."""
        inside = case.stage == "app" and case.protocol != "https"
        return bool(case.fixed) and "proxy" not in case.settings and not inside


class CheckCurl(Tool):
    title = "check_curl"

    def can(self, case):
        return super().can(case) and case.protocol in ("https", "tls", "sip")

    def ask(self, case):
        trust = case.trust
        own = ["-J", trust["certificate"], "-K", trust["key"]] if "certificate" in trust else []
        return run([PLUGINS / "check_curl", "-H", case.settings.get("sni", NAME), "-I", case.address, "-p", case.port, "-S", "--sni",
                    "-D", "--ca-cert", trust["ca_file"], *own, "-t", PATIENCE])


class CheckSslCert(Tool):
    title = "check_ssl_cert"

    def can(self, case):
        """Of HTTP it reads the certificate alone."""
        return super().can(case) and case.stage != "app"

    def ask(self, case):
        trust = case.trust
        own = ["-C", trust["certificate"], "-K", trust["key"]] if "certificate" in trust else []
        revoked = ["--crl"] if "crl_file" in trust else []
        kind = ["-P", STARTTLS[case.protocol]] if case.protocol in STARTTLS else []
        return run([PLUGINS / "check_ssl_cert", "-H", NAME, "--resolve", case.address, "-p", case.port, "--rootcert-file", trust["ca_file"], "--sni",
                    case.settings.get("sni", NAME), "-t", PATIENCE, "--ignore-sct", "--ignore-maximum-validity",
                    "-c", "7", "-w", "14", *own, *kind, *revoked])


class CheckDig(Tool):
    title = "check_dig"

    def can(self, case):
        """SRV records of one resolver, and nothing that is behind them or needs to be told what is right."""
        plain = case.stage in ("srv", "") and case.reason not in ("dnsSrvForeignTarget", "dnsUnexpectedAnswer")
        return not case.settings.get("host") and case.protocol == "sip" and isinstance(case.resolver, int) and plain and \
            not case.name.startswith("view-")

    def ask(self, case):
        return run([PLUGINS / "check_dig", "-H", "127.0.0.1", "-p", case.resolver, "-l", case.service, "-T", "SRV", "-t", PATIENCE])


class Blackbox(Tool, lab.Server):
    title = "blackbox_exporter"

    def __init__(self, folder, cases):
        lab.Server.__init__(self, folder, "blackbox", "127.0.0.1", lab.free_port())
        self.cases = [case for case in cases if self.can(case)]

    def can(self, case):
        return CheckDig.can(self, case) or (Tool.can(self, case) and case.protocol != "ldap")

    def module(self, case):
        """JSON is YAML."""
        if not case.fixed:
            return {"prober": "dns", "timeout": f"{PATIENCE}s", "dns": {
                "query_name": case.service, "query_type": "SRV", "validate_answer_rrs": {"fail_if_none_matches_regexp": [".*SRV.*"]}}}
        trust = case.trust
        tls = {"ca_file": str(trust["ca_file"]), "server_name": case.settings.get("sni", NAME)}
        if "certificate" in trust:
            tls.update(cert_file=str(trust["certificate"]), key_file=str(trust["key"]))
        if case.protocol == "https":
            return {"prober": "http", "timeout": f"{PATIENCE}s", "http": {"tls_config": tls, "headers": {"Host": NAME},
                                                                          "preferred_ip_protocol": "ip4"}}
        talk = TALKS.get(case.protocol, [])
        if case.protocol.startswith("xmpp"):
            space = "server" if case.protocol == "xmpp" else "client"
            talk = [("send", STREAM.format(space=space, domain=case.settings["domain"])), ("expect", "<starttls"),
                    ("send", f"<starttls {XMPP_TLS}/>"), ("expect", "<proceed")]
        steps = [{verb: text} for verb, text in talk] + ([{"starttls": True}] if talk else [])
        return {"prober": "tcp", "timeout": f"{PATIENCE}s", "tcp": {"tls": not talk, "tls_config": tls, "query_response": steps}}

    def prepare(self):
        self.write("blackbox.yml", json.dumps({"modules": {case.name: self.module(case) for case in self.cases}}))

    def command(self):
        return ["prometheus-blackbox-exporter", f"--config.file={self.folder}/blackbox.yml",
                f"--web.listen-address={self.address}:{self.port}", "--log.level=error"]

    def ask(self, case):
        connection = http.client.HTTPConnection(self.address, self.port, timeout=60)
        target = f"{case.address}:{case.port}" if case.fixed else f"127.0.0.1:{case.resolver}"
        if case.protocol == "https":
            target = "https://" + target
        words = urllib.parse.urlencode({"module": case.name, "target": target, "debug": "true"})
        connection.request("GET", "/probe?" + words)
        text = connection.getresponse().read().decode("utf-8", "replace")
        logs, _, rest = text.partition("Metrics that would have been returned:")
        return "\nprobe_success 1\n" in rest, "\n".join(re.findall(r"\berr=(.*)", logs)) or logs


class Fedwarden(Tool):
    title = "fedwarden"

    def __init__(self, faults, check):
        done = check.fedwarden("-c", faults.write(), "--json", timeout=120)
        self.rows = {row["partner"]: row for row in map(json.loads, done.stdout.splitlines())}

    def can(self, case):
        return True

    def ask(self, case):
        row = self.rows[case.name]
        return row["health"] == "ok", row["reason"]


def is_exact(tool, case, healthy, text):
    if healthy:
        return False
    if isinstance(tool, Fedwarden):
        return text == case.reason
    return re.search(WORDS.get(case.reason, r"(?!)"), text, re.I) is not None


def compare(tool, cases):
    """{bad, exact, healthy, good, alarms, wrong}: of what it could be asked."""
    asked = [case for case in cases if tool.can(case)]
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(tool.ask, asked))
    counts = {"title": tool.title, "seconds": time.monotonic() - begun, "bad": 0, "exact": 0, "healthy": 0, "good": 0, "alarms": 0,
              "wrong": [], "missed": []}
    for case, (healthy, text) in zip(asked, answers):
        if case.reason == "none":
            counts["good"] += 1
            counts["alarms"] += not healthy
            continue
        counts["bad"] += 1
        counts["healthy"] += healthy
        exact = is_exact(tool, case, healthy, text)
        counts["exact"] += exact
        if healthy:
            counts["missed"].append(case.name)
        elif not exact:
            counts["wrong"].append((case.name, case.reason, " ".join(text.split())[:200]))
    return counts


def print_table(results, ours):
    print(f"\nThe fault matrix: {ours['bad']} partners that fail, {ours['good']} that are healthy\n")
    print(f"{'':18}  {'asked':>5}  {'exact reason':>14}  {'wrongly healthy':>15}  {'of the whole':>12}  {'false alarms':>12}")
    for result in results:
        exact = f"{result['exact']} {result['exact'] / result['bad']:5.0%}"
        print(f"{result['title']:18}  {result['bad']:5}  {exact:>14}  {result['healthy']:15}  "
              f"{result['exact'] / ours['bad']:12.0%}  {result['alarms']:6} of {result['good']}")
    print("\nasked: failing partners that the tool has a way to ask about; exact: of those; of the whole: exact, of all that fail.")


def measure(build, folder, stack, path):
    """Prints the comparison and writes it to `path`; whether ours is as it must be."""
    os.environ["FEDWARDEN_BUILD"] = str(build)
    import lab_faults
    import test_check
    test_check.block_addresses()
    faults = lab_faults.Faults(pathlib.Path(folder), stack)
    cases = [case_of(faults, name, faults.resolvers) for name in faults.partners if name in faults.settings]
    blackbox = Blackbox(pathlib.Path(folder), cases)
    blackbox.start()
    stack.callback(blackbox.stop)
    results = [compare(tool, cases) for tool in (Fedwarden(faults, test_check), blackbox, CheckSslCert(), CheckCurl(), CheckDig())]
    ours = results[0]
    print_table(results, ours)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"what each of them said: {path}")
    met = ours["exact"] == ours["bad"] and not ours["healthy"] and not ours["alarms"]
    print("all exact, none wrongly healthy, no false alarm: " + ("met" if met else f"MISSED: {ours['wrong']} {ours['missed']}"))
    return met
