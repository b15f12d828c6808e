"""A SIP edge and whom it meets: Kamailio that refuses and logs why, and clients that send from addresses of their own
choice on loopback."""
import hashlib
import os
import re
import socket
import ssl

import lab

PATIENCE = 20  # seconds for an answer


class SipEdge(lab.Kamailio):
    """The edge: Kamailio that asks for passwords and client certificates, delivers to alice of its domain alone, and
    says why it refuses, in the words that the preset asks for."""

    PASSWORD = "the right one"

    def __init__(self, folder, name, address, port, lenient_port, udp_port, files, client_ca, domain):
        super().__init__(folder, name, address, port, files, client_ca)
        self.lenient_port = lenient_port  # of TLS too; there the script judges certificates
        self.udp_port = udp_port
        self.domain = domain

    def prepare(self):
        super().prepare()
        with open(self.folder / "tls.cfg", "a", encoding="utf-8") as tls:
            tls.write(f"[server:{self.address}:{self.lenient_port}]\nmethod = TLSv1.2+\nca_list = {self.client_ca}\n"
                      f"certificate = {self.files.cert}\nprivate_key = {self.files.key}\n"
                      "verify_client = optional_no_ca\n")
        text = (self.folder / "kamailio.cfg").read_text(encoding="utf-8")
        head = text[:text.index("request_route")]
        # one worker for TLS: with several and OpenSSL 3 it loses at times the reason of a failure
        head = head.replace("tcp_children = 2", "tcp_children = 1")
        self.write("kamailio.cfg", head + f"""listen = udp:{self.address}:{self.udp_port}
listen = tls:{self.address}:{self.lenient_port}
log_prefix = "{{$mt $hdr(CSeq)}} "
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "auth.so"
""" + self.script())

    def script(self):
        preset = (lab.REPOSITORY / "conf" / "presets" / "kamailio.conf").read_text(encoding="utf-8")

        def words(event, reason=""):
            """The line of the preset's own instructions."""
            return next(line.lstrip("# ") for line in preset.splitlines()
                        if line.startswith("#     xlog(") and f"event={event} " in line and reason in line)
        return f"""request_route {{
    if ($pr == "tls" && !is_peer_verified()) {{
        {words(5)}
        sl_send_reply("403", "Certificate not accepted");
        exit;
    }}
    if (method == "REGISTER") {{
        if (!pv_www_authenticate("{self.domain}", "{self.PASSWORD}", "0")) {{
            $var(rc) = $rc;
            if ($var(rc) != -5) {{  # -5: no credentials yet
                {words(2, "rc=$var(rc)")}
            }}
            www_challenge("{self.domain}", "0");
            exit;
        }}
        sl_send_reply("200", "OK");
        exit;
    }}
    if ($rd != "{self.domain}") {{
        if ($si =~ "^10\\.10\\.") {{
            {words(4, "unsupported_to_domain")}
        }} else {{
            {words(3, "unsupported_to_domain")}
        }}
        sl_send_reply("403", "Domain not served");
        exit;
    }}
    if ($rU != "alice") {{
        {words(3, "unknown_user")}
        sl_send_reply("404", "Not Found");
        exit;
    }}
    sl_send_reply("200", "OK");
}}
"""

    def ready(self):
        return super().ready() and lab.udp_bound(self.address, self.udp_port)


class SipClient:
    """Sends requests by UDP from an address and takes the answers."""

    def __init__(self, address, server):
        self.address = address
        self.server = server
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.settimeout(PATIENCE)
        self.sequence = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, method, uri, sender, recipient, more=""):
        """The status of the answer, and the answer."""
        self.sequence += 1
        here = "%s:%d" % self.socket.getsockname()
        self.socket.sendto(
            (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{os.urandom(6).hex()}\r\n"
             f"From: <{sender}>;tag={os.urandom(4).hex()}\r\nTo: <{recipient}>\r\n"
             f"Call-ID: {os.urandom(8).hex()}@{self.address}\r\nCSeq: {self.sequence} {method}\r\nMax-Forwards: 70\r\n"
             f"Contact: <sip:{here}>\r\n{more}Content-Length: 0\r\n\r\n").encode(),
            (self.server.address, self.server.udp_port))
        answer = self.socket.recv(8192).decode()
        return int(answer.split()[1]), answer

    def register(self, user, password):
        """The status in the end, after the digest (RFC 3261, 22) of that password."""
        uri, identity = f"sip:{self.server.domain}", f"sip:{user}@{self.server.domain}"
        status, answer = self.request("REGISTER", uri, identity, identity)
        if status != 401:
            return status
        realm, nonce = (re.search(name + r'="([^"]*)"', answer).group(1) for name in ("realm", "nonce"))

        def digest(*parts):
            return hashlib.md5(":".join(parts).encode()).hexdigest()
        response = digest(digest(user, realm, password), nonce, digest("REGISTER", uri))
        return self.request("REGISTER", uri, identity, identity,
                            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
                            f'response="{response}"\r\n')[0]

    def message(self, sender, recipient):
        return self.request("MESSAGE", recipient, sender, recipient)[0]


def show_certificate(server, port, source, files, trusting=True):
    """A request from that address with that certificate of ours. Whether the server accepted it. Who is not trusting
    ends the handshake with the alert that it does not know the CA of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE if trusting else ssl.CERT_REQUIRED
    context.load_cert_chain(files.cert, files.key)
    try:
        with socket.create_connection((server.address, port), PATIENCE, (source, 0)) as tcp, \
                context.wrap_socket(tcp) as tls:
            # In TLS 1.3 the verdict comes after the handshake
            tls.sendall(f"OPTIONS sip:alice@{server.domain} SIP/2.0\r\nVia: SIP/2.0/TLS client;branch=z9hG4bKa\r\n"
                        f"From: <sip:a@beta.example>;tag=1\r\nTo: <sip:alice@{server.domain}>\r\nCall-ID: a\r\n"
                        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode())
            return tls.recv(4096).startswith(b"SIP/2.0 200")
    except (ssl.SSLError, ConnectionError):
        return False
