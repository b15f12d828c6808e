"""An snmptrapd that hands what comes to programs, as a management station has it."""
import lab


class Handler(lab.Server):
    """directives: lines of snmptrapd.conf; options: further arguments of snmptrapd."""

    def __init__(self, folder, name, port, directives, options=()):
        super().__init__(folder, name, "127.0.0.1", port)
        self.directives = directives
        self.options = options

    def prepare(self):
        (self.folder / "persistent").mkdir(exist_ok=True)
        self.write("snmptrapd.conf", "authCommunity log,execute,net public\n" + "".join(d + "\n" for d in self.directives))

    def command(self):
        return ["snmptrapd", "-f", "-n", "-X", "-C", "-c", self.folder / "snmptrapd.conf", "-Lf", self.folder / "received",
                *self.options, f"udp:{self.address}:{self.port}"]

    def environment(self):
        return lab.mib_environment(self.folder)

    def ready(self):
        return lab.udp_bound(self.address, self.port)


def send_to(scene, port):
    """Makes the scene's fedwarden, which is its own master, notify that port too."""
    scene.fedwarden.stop()
    with open(scene.folder / "snmp.conf", "a", encoding="ascii") as access:
        access.write(f"trap2sink 127.0.0.1:{port} public\n")
    scene.fedwarden.start()
    scene.wait_healthy(40)
