"""Certificates as several tests of TLS need them: a CA with an intermediate, another CA, and leaves of either."""
import pki


class Pki:
    """.root, .sub (below it), .other; .ca and .other_ca: files of the roots. All keys are of the kind `key`."""

    def __init__(self, folder, key):
        self.folder = folder
        self.key = key
        self.root = pki.root("Root " + key, key=key)
        self.sub = pki.intermediate(self.root, "Issuing CA " + key, key=key)
        self.other = pki.root("Other Root " + key, key=key)
        self.ca = pki.bundle(folder, "ca.pem", [self.root])
        self.other_ca = pki.bundle(folder, "other.pem", [self.other])
        self.count = 0

    def files(self, leaf, chain=None):
        """Writes the leaf with the chain to send, the intermediate unless told, and its key."""
        self.count += 1
        return pki.write(self.folder, f"leaf{self.count}", leaf, [self.sub] if chain is None else chain)
