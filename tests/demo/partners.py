"""The partners of the demonstration and its own edge, the four things that break, and the three that others do to us.

One object per folder; another one made for the same folder goes on with the servers that run there.
"""
import datetime
import json
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import lab  # noqa: E402
import lab_sip  # noqa: E402
import pki  # noqa: E402

ADDRESS = "127.0.0.1"
SERVICE = "_sipfederationtls._tcp"
NAMES = {
    "contoso": ["DNS:sip.contoso.example", "DNS:contoso.example"],
    "fabrikam": ["DNS:fabrikam.example"],
    "woodgrove": ["DNS:edge.woodgrove.example"],
}
DOMAIN = "edge.example"  # ours
PARTNER = "127.0.0.5"  # from where contoso comes to our edge
GUESSER = "127.0.0.40"
STRANGER = "127.0.0.77"
ATTEMPTS = 6
LIFE_LEFT = 2  # seconds until the certificate ends that the SIP proxy gets


class Break:
    """One thing that breaks: its name, what is done in words, the partner and the reason that fedwarden must report."""

    def __init__(self, name, title, partner, reason, server):
        self.name = name
        self.title = title
        self.partner = partner
        self.reason = reason
        self.server = server  # whose log tells more when it goes wrong


BREAKS = (
    Break("certificate", "A certificate expires", "contoso", "tlsExpired", "kamailio"),
    Break("srv", "An SRV record vanishes", "contoso", "dnsNxDomain", "knot"),
    Break("root", "A root is not trusted", "fabrikam", "tlsUntrustedRoot", "nginx"),
    Break("port", "A port is closed", "woodgrove", "tcpRefused", "s_server"),
)

# What others do to the edge. The partner is "" where it is nobody known.
ATTACKS = (
    Break("passwords", "Passwords are guessed", "", "authBadCredentials", "edge"),
    Break("users", "A partner writes to nobody", "contoso", "domUserUnknown", "edge"),
    Break("client", "A client certificate is bad", "", "tlsUntrustedRoot", "edge"),
)

CONFIGURATION = """# fedwarden of the demonstration: everything is quick here, so that you need not wait.
log_level = "info";
agent = {{
    {agent}
    state_dir = "{folder}/fedwarden/state";
}};
collectors = {{ first_spread = 1; }};
resolvers = ( {{ name = "knot"; address = "{address}"; port = {dns}; }} );
trusts = (
    {{ name = "federation"; ca_file = "{folder}/roots.pem";
      certificate = "{folder}/edge.pem"; key = "{folder}/edge.key"; }}
);
defaults = {{ trust = "federation"; interval = 1; families = "ipv4"; expiry_days = 0; }};
thresholds = {{
    tlsOutgoing = {{ count = 2; window = 60; clear = 2; }};
    connection = {{ count = 2; window = 60; clear = 2; }};
    dns = {{ count = 2; window = 60; clear = 2; }};
    authSource = {{ count = 5; window = 4; clear = 0; }};
    domainPartner = {{ count = 5; window = 4; clear = 0; }};
    invalidCert = {{ count = 5; window = 4; clear = 0; }};
}};
{edge_conf}partners = (
    {{ name = "contoso"; domain = "contoso.example"; protocol = "sip"; contact = "sip@contoso.example";
      networks = ( "{partner}" ); }},
    {{ name = "fabrikam"; domain = "fabrikam.example"; protocol = "https"; port = {web};
      contact = "web@fabrikam.example"; }},
    {{ name = "woodgrove"; domain = "woodgrove.example"; protocol = "tls"; host = "edge.woodgrove.example";
      port = {mutual}; contact = "edge@woodgrove.example"; }}{more}
);
"""
EDGE = """edge = {{ domains = ( "{domain}" ); ports = ( {edge}, {edge_lenient} ); }};
feeds = ( {{ name = "edge"; preset = "{presets}/kamailio.conf"; file = "{folder}/edge/log"; }} );
"""
STANDALONE = """mode = "standalone";
    listen = "udp:{address}:{snmp}";
    access_file = "{folder}/snmp.conf";"""
SUBAGENT = """mode = "subagent";
    agentx_socket = "{folder}/snmpd/agentx";
    reconnect = 1;"""


class Partners(lab.Lab):
    """Knot with three zones, Kamailio, nginx, OpenSSL's server, snmptrapd, and fedwarden watching them; with SUBAGENT
    an snmpd between the last two. with_edge: also an edge of ours, another Kamailio, whose log is read."""

    def __init__(self, folder, program, agent=STANDALONE, with_edge=False):
        super().__init__(folder)
        self.agent = agent
        self.with_edge = with_edge
        self.ports = self._remembered("ports.json", lambda: {
            name: lab.free_port() for name in (
                "dns", "sip", "web", "mutual", "traps", "snmp", "edge", "edge_lenient", "edge_sip")})
        self.root = self._authority("root", lambda: pki.root("Federation Root"))
        self.issuer = self._authority("issuer", lambda: pki.intermediate(self.root, "Federation Issuing CA"), self.root)
        self.strange_root = self._authority("strange-root", lambda: pki.root("Unheard-of Root"))
        self.strange_issuer = self._authority(
            "strange-issuer", lambda: pki.intermediate(self.strange_root, "Unheard-of Issuing CA"), self.strange_root)
        self._make_files()
        self._make_servers(program)

    # What the object is made of, kept in the folder

    def _remembered(self, name, make):
        path = self.folder / name
        if not path.exists():
            path.write_text(json.dumps(make()), encoding="ascii")
        return json.loads(path.read_text(encoding="ascii"))

    def _authority(self, name, make, issuer=None):
        certificate, key = self.folder / (name + ".der"), self.folder / (name + ".key")
        if not key.exists():
            made = make()
            certificate.write_bytes(made.der)
            key.write_bytes(made.key_pem)
        return pki.Certificate(certificate.read_bytes(), pki.load_key(key.read_bytes()), issuer)

    def _certificate(self, partner, issuer=None, **options):
        """Writes a certificate of that partner and its chain."""
        issuer = issuer or self.issuer
        pki.write(self.folder, partner, pki.leaf(issuer, NAMES[partner], **options), [issuer])

    def _files(self, partner):
        return pki.Files(str(self.folder / (partner + ".pem")), str(self.folder / (partner + ".key")))

    def _make_files(self):
        if (self.folder / "snmp.conf").exists():
            return
        for partner in NAMES:
            self._certificate(partner)
        pki.write(self.folder, "edge", pki.leaf(self.issuer, ["DNS:edge.example"]), [self.issuer])
        pki.bundle(self.folder, "roots.pem", [self.root])
        (self.folder / "snmp.conf").write_text(
            f"rocommunity public {ADDRESS}\ntrap2sink {ADDRESS}:{self.ports['traps']} public\n", encoding="ascii")

    def _make_servers(self, program):
        ports, roots = self.ports, self.folder / "roots.pem"
        self.knot = self.add(lab.Knot(self.folder, "knot", ADDRESS, ports["dns"], {
            "contoso.example": [("sip", "A", ADDRESS), (SERVICE, "SRV", f"0 0 {ports['sip']} sip")],
            "fabrikam.example": [("@", "A", ADDRESS)],
            "woodgrove.example": [("edge", "A", ADDRESS)]}))
        self.kamailio = self.add(lab.Kamailio(self.folder, "kamailio", ADDRESS, ports["sip"],
                                              self._files("contoso"), roots))
        self.nginx = self.add(lab.Nginx(self.folder, "nginx", ADDRESS, ports["web"], self._files("fabrikam")))
        self.s_server = self.add(lab.MutualTls(self.folder, "s_server", ADDRESS, ports["mutual"],
                                               self._files("woodgrove"), roots))
        if self.with_edge:
            self.edge = self.add(lab_sip.SipEdge(self.folder, "edge", ADDRESS, ports["edge"], ports["edge_lenient"],
                                                 ports["edge_sip"], self._files("edge"), roots, DOMAIN))
        self.snmptrapd = self.add(lab.SnmpTrapd(self.folder, "snmptrapd", ADDRESS, ports["traps"]))
        if self.agent == SUBAGENT:
            self.snmpd = self.add(lab.Snmpd(self.folder, "snmpd", ADDRESS, ports["snmp"], ports["traps"]))
        self.fedwarden = self.add(lab.Fedwarden(self.folder, "fedwarden", program, self.configuration(), ADDRESS,
                                                ports["snmp"]))

    def configuration(self, more=""):
        """The text of fedwarden.conf; `more`: groups of further partners, each with a comma before it."""
        values = {"address": ADDRESS, "folder": self.folder, "domain": DOMAIN, "partner": PARTNER,
                  "presets": lab.REPOSITORY / "conf" / "presets", **self.ports}
        return CONFIGURATION.format(agent=self.agent.format(**values), more=more,
                                    edge_conf=EDGE.format(**values) if self.with_edge else "", **values)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def server(self, name):
        return next(server for server in self.servers if server.name == name)

    # What breaks, and how it is mended. Each returns what was done, in words; break_certificate when it has happened.

    def break_certificate(self):
        end = pki.now() + datetime.timedelta(seconds=LIFE_LEFT)
        self._certificate("contoso", start=end - datetime.timedelta(days=90), end=end)
        self.kamailio.reload()
        lab.wait_until(lambda: datetime.datetime.utcnow() >= end, LIFE_LEFT + 5)
        return f"Kamailio's certificate ended at {end:%H:%M:%S} UTC, after 90 days; nobody had renewed it."

    def repair_certificate(self):
        self._certificate("contoso")
        self.kamailio.reload()
        return "Kamailio gets a certificate for the next 30 days."

    def break_srv(self):
        self.knot.change("contoso.example", ("unset", SERVICE, "SRV"))
        return f"{SERVICE}.contoso.example is taken out of Knot's zone."

    def repair_srv(self):
        self.knot.change("contoso.example", ("set", SERVICE, "SRV", f"0 0 {self.ports['sip']} sip"))
        return "The record is back in the zone."

    def break_root(self):
        self._certificate("fabrikam", self.strange_issuer)
        self.nginx.reload()
        return "nginx shows a certificate below the CA \"Unheard-of Root\", which fedwarden's list does not have."

    def repair_root(self):
        self._certificate("fabrikam")
        self.nginx.reload()
        return "nginx has a certificate below \"Federation Root\" again."

    def break_port(self):
        self.s_server.stop()
        return f"The TLS server of woodgrove is stopped; nobody listens on port {self.ports['mutual']}."

    def repair_port(self):
        self.s_server.start()
        return "The server is started again."

    # What others do to our edge

    def break_passwords(self):
        with lab_sip.SipClient(GUESSER, self.edge) as client:
            for number in range(ATTEMPTS):
                client.register("alice", f"guess {number}")
        return f"{GUESSER} tries {ATTEMPTS} passwords of alice@{DOMAIN}; our Kamailio refuses and logs it."

    def repair_passwords(self):
        return "Whoever it was gives up; a window without failures clears the alarm."

    def break_users(self):
        with lab_sip.SipClient(PARTNER, self.edge) as client:
            for number in range(ATTEMPTS):
                client.message("sip:carol@contoso.example", f"sip:nobody{number}@{DOMAIN}")
        return f"{PARTNER}, of contoso, sends messages to {ATTEMPTS} users that {DOMAIN} does not have."

    def repair_users(self):
        return "Contoso has cleaned its contact lists."

    def break_client(self):
        files = pki.write(self.folder, "stranger", pki.leaf(pki.root("Tailspin-CA"), ["DNS:sip.tailspin.example"]))
        for _ in range(ATTEMPTS):
            lab_sip.show_certificate(self.edge, self.ports["edge_lenient"], STRANGER, files)
        return f"{STRANGER} comes {ATTEMPTS} times with a certificate of \"Tailspin-CA\", which our edge does not trust."

    def repair_client(self):
        return "It comes no more."

    def do(self, verb, what):
        return getattr(self, f"{verb}_{what}")()

    # What fedwarden says

    def table(self, name):
        """A table as snmptable gives it: a dict per row, by the names of the columns without their common part."""
        text = lab.snmp(self.folder, "snmptable", ADDRESS, self.ports["snmp"], "FEDWARDEN-MIB::" + name,
                        options=("-OU", "-Cb", "-Cf", "\t"))
        lines = [line for line in text.splitlines() if "\t" in line]
        return [dict(zip(lines[0].split("\t"), (cell.strip('"') for cell in line.split("\t")))) for line in lines[1:]]

    def healthy(self):
        rows = self.table("fedwPartnerTable")
        return len(rows) == 3 and all(row["Health"] == "ok" for row in rows)

    def wait_healthy(self, seconds=30):
        start = time.monotonic()
        if not lab.wait_until(self.healthy, seconds, 0.2):
            raise lab.LabError(f"after {seconds} s not every partner is ok:\n{self.fedwarden.tail()}")
        return time.monotonic() - start
