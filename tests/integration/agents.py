"""Several agents that share one file of partners, each with its share."""
import lab
import partners

NAMES = [f"partner{number}" for number in range(1, 13)]


class Agents(lab.Lab):
    """Three agents, "1/3" to "3/3", and the web server that all partners are."""

    def __init__(self, folder, program):
        super().__init__(folder)
        self.scene = partners.Partners(folder / "scene", program)
        self.nginx = self.add(self.scene.nginx)
        self.shares = ["1/3", "2/3", "3/3"]
        (folder / "partners.conf").write_text("partners = (\n" + ",\n".join(
            f'    {{ name = "{name}"; domain = "fabrikam.example"; protocol = "https"; address = "127.0.0.1"; '
            f'port = {self.scene.ports["web"]}; trust = "federation"; interval = 1; }}' for name in NAMES) + "\n);\n", encoding="ascii")
        self.agents = [self.add(lab.Fedwarden(folder, f"agent{number}", program, self.configuration(number, share, port),
                                              "127.0.0.1", port))
                       for number, share, port in ((n, s, lab.free_port()) for n, s in enumerate(self.shares, start=1))]

    def configuration(self, number, share, port):
        access = self.folder / f"access{number}.conf"
        access.write_text("rocommunity public 127.0.0.1\n", encoding="ascii")
        return f"""shard = "{share}";
agent = {{ mode = "standalone"; listen = "udp:127.0.0.1:{port}"; access_file = "{access}"; vantage = "site {number}";
    state_dir = "{self.folder}/agent{number}/state"; }};
collectors = {{ first_spread = 1; }};
trusts = ( {{ name = "federation"; ca_file = "{self.scene.folder}/roots.pem"; }} );
@include "{self.folder}/partners.conf"
"""

    def take_over(self, agent, share):
        """The only thing that an operator does when another agent is gone."""
        number = self.agents.index(agent) + 1
        agent.reload(self.configuration(number, share, agent.port))
