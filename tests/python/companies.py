"""Real company directories on addresses of this machine: Samba as an Active Directory domain controller, and OpenLDAP.

The domain is provisioned once and kept in .tools; every test gets a copy of it. Samba's ports are fixed, so each
controller has an address of its own, and needs root.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from pathlib import Path

from outfitter import ROOT, wait_for

PASSWORD = "Passw0rd!x"
SLAPD = "/usr/sbin/slapd"
# More than Active Directory hands out of a group at once (1,500).
CROWD = 1_600


def run(*arguments: str | Path, stdin: str | None = None, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    assert done.returncode == 0, f"{arguments[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True)
        self.folder, self.pem = folder, folder / "ca.pem"
        run(
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
            *("-subj", "/CN=Test Authority", "-keyout", folder / "ca.key", "-out", self.pem),
        )

    def issue(self, address: str) -> tuple[Path, Path]:
        """Certificate and key of a server at an address."""
        stem = self.folder / address
        certificate, key, wish, facts = (stem.with_name(f"{address}.{kind}") for kind in ("pem", "key", "csr", "ext"))
        facts.write_text(f"subjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n")
        run(
            *"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=directory".split(),
            *("-keyout", key, "-out", wish),
        )
        run(
            *("openssl", "x509", "-req", "-in", wish, "-CA", self.pem, "-CAkey", self.folder / "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", facts, "-out", certificate),
        )
        key.chmod(0o600)
        return certificate, key


class Company:
    """A directory server that runs, and can be stopped and started again."""

    base: str
    url: str
    bind_user: str
    password = PASSWORD

    def __init__(self, folder: Path, authority: Authority):
        self.folder, self.authority = folder, authority
        self.process: subprocess.Popen | None = None

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        host, port = self.listens_at()

        def listens() -> bool:
            assert self.process.poll() is None, f"the directory ended:\n{(self.folder / 'log').read_text()[-2000:]}"
            try:
                with socket.create_connection((host, port), timeout=1):
                    return True
            except OSError:
                return False

        wait_for(listens, "the directory to listen")

    def listens_at(self) -> tuple[str, int]:
        raise NotImplementedError

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def change(self, ldif: str) -> None:
        """Adds entries, or changes them where a record says `changetype`."""
        secure = ["-ZZ"] if self.url.startswith("ldap://") else []
        run(
            *("ldapmodify", "-a", "-x", *secure, "-H", self.url, "-D", self.bind_user, "-w", self.password),
            stdin=ldif,
            environment={"LDAPTLS_CACERT": str(self.authority.pem)},
        )

    def settings(self, **members) -> dict:
        """A body for SetDirectory."""
        return {
            "url": self.url,
            "ca_pem": self.authority.pem.read_text(),
            "bind_user": self.bind_user,
            "bind_password": self.password,
            "base_dn": self.base,
            **members,
        }


_CROWD = """
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
parameters = LoadParm()
parameters.load(sys.argv[1])
directory = SamDB(url=parameters.private_path("sam.ldb"), session_info=system_session(), lp=parameters)
directory.transaction_start()
crowd = "OU=Crowd," + str(directory.domain_dn())
directory.add({"dn": crowd, "objectClass": "organizationalUnit"})
names = ["crowd%04d" % number for number in range(int(sys.argv[2]))]
for name in names:
    directory.add({"dn": "CN=%s,%s" % (name, crowd), "objectClass": "user", "sAMAccountName": name})
directory.add({
    "dn": "CN=crowd," + crowd, "objectClass": "group", "sAMAccountName": "crowd",
    "member": ["CN=%s,%s" % (name, crowd) for name in names],
})
directory.transaction_commit()
"""


class Domain(Company):
    """A Samba domain controller: CORP, corp.test."""

    base = "DC=corp,DC=test"
    bind_user = "administrator@corp.test"

    def __init__(self, folder: Path, authority: Authority):
        super().__init__(folder, authority)
        shutil.copytree(_provisioned(), folder / "domain", symlinks=True)
        self.address = _free_address()
        self.url = f"ldaps://{self.address}"
        certificate, key = authority.issue(self.address)
        self._configure(certificate, key)
        self.start()

    def _configure(self, certificate: Path, key: Path) -> None:
        _write_configuration(
            self.folder / "domain",
            f"interfaces = {self.address}/8\nbind interfaces only = yes\ndisable netbios = yes\n"
            f"server services = ldap\ntls certfile = {certificate}\ntls keyfile = {key}\n"
            f"tls cafile = {self.authority.pem}\n",
        )

    def arguments(self) -> list[str]:
        return ["samba", "-i", "-M", "single", "-s", str(self.folder / "domain/smb.conf")]

    def listens_at(self) -> tuple[str, int]:
        return self.address, 636

    def add_user(self, name: str, **attributes: str) -> None:
        facts = "".join(f"{attribute}: {value}\n" for attribute, value in attributes.items())
        # 512 NORMAL_ACCOUNT, 32 PASSWD_NOTREQD: enabled without a password.
        self.change(
            f"dn: CN={name},OU=People,{self.base}\nobjectClass: user\nsAMAccountName: {name}\n"
            f"userAccountControl: 544\n{facts}\n"
        )

    def add_group(self, name: str, *members: str) -> None:
        facts = "".join(f"member: CN={member},OU=People,{self.base}\n" for member in members)
        self.change(f"dn: CN={name},OU=People,{self.base}\nobjectClass: group\nsAMAccountName: {name}\n{facts}\n")

    def set(self, name: str, attribute: str, value: str) -> None:
        self.change(
            f"dn: CN={name},OU=People,{self.base}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n\n"
        )

    def member(self, how: str, group: str, member: str) -> None:
        """`add` or `delete` of a direct member."""
        self.change(
            f"dn: CN={group},OU=People,{self.base}\nchangetype: modify\n{how}: member\n"
            f"member: CN={member},OU=People,{self.base}\n\n"
        )

    def delete(self, name: str) -> None:
        self.change(f"dn: CN={name},OU=People,{self.base}\nchangetype: delete\n\n")

    def rename(self, old: str, new: str) -> None:
        """Another place and another account name: all that stays is the security identifier."""
        self.change(f"dn: CN={old},OU=People,{self.base}\nchangetype: modrdn\nnewrdn: CN={new}\ndeleteoldrdn: 1\n\n")
        self.set(new, "sAMAccountName", new)


def _write_configuration(folder: Path, more: str) -> None:
    (folder / "smb.conf").write_text(
        "[global]\nworkgroup = CORP\nrealm = CORP.TEST\nnetbios name = DC1\n"
        f"server role = active directory domain controller\nprivate dir = {folder}/private\n"
        f"state directory = {folder}/state\ncache directory = {folder}/cache\nlock directory = {folder}\n"
        f"binddns dir = {folder}/bind-dns\npid directory = {folder}\nncalrpc dir = {folder}/ncalrpc\n"
        f"log file = {folder}/log\n{more}"
    )


def _provisioned() -> Path:
    """The folder of a domain that has a crowd in it, made where it is absent."""
    assert os.geteuid() == 0, "a domain controller needs root: run the tests as root or in a container"
    assert shutil.which("samba-tool"), "samba-tool is missing: run `scripts/need directories`"
    version = run("samba", "--version").split()[-1]
    kept = ROOT / ".tools" / f"samba-domain-{version}-{CROWD}"
    if kept.exists():
        return kept
    making = kept.with_name(f"{kept.name}.{os.getpid()}")
    run(
        *"samba-tool domain provision -s /dev/null --realm=CORP.TEST --domain=CORP --server-role=dc".split(),
        *("--dns-backend=NONE", "--host-name=dc1", "--host-ip=127.0.0.1"),
        *(f"--targetdir={making}", f"--adminpass={PASSWORD}"),
    )
    _write_configuration(making, "")
    run("/usr/bin/python3", "-c", _CROWD, making / "smb.conf", str(CROWD))
    try:
        making.rename(kept)
    except OSError:
        shutil.rmtree(making)
    return kept


def _free_address() -> str:
    """An address whose LDAP ports nobody has."""
    for _ in range(100):
        address = f"127.3.{random.randrange(256)}.{random.randrange(1, 255)}"
        try:
            for port in (389, 636):
                with socket.socket() as probe:
                    probe.bind((address, port))
            return address
        except OSError:
            continue
    raise AssertionError("no free address below 127.3.0.0/16")


class OpenLdap(Company):
    """An OpenLDAP server, reached with StartTLS."""

    base = "o=corp"
    bind_user = "cn=admin,o=corp"

    def __init__(self, folder: Path, authority: Authority):
        super().__init__(folder, authority)
        assert Path(SLAPD).exists(), f"{SLAPD} is missing: run `scripts/need directories`"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"ldap://127.0.0.1:{self.port}"
        certificate, key = authority.issue("127.0.0.1")
        (folder / "data").mkdir(parents=True)
        schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "nis", "inetorgperson"))
        (folder / "slapd.conf").write_text(
            f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload refint\n"
            f"TLSCACertificateFile {authority.pem}\nTLSCertificateFile {certificate}\nTLSCertificateKeyFile {key}\n"
            "sizelimit size.soft=500 size.hard=500 size.prtotal=unlimited\n"
            f'database mdb\nmaxsize 67108864\nsuffix "{self.base}"\nrootdn "{self.bind_user}"\n'
            f"rootpw {self.password}\ndirectory {folder}/data\noverlay refint\nrefint_attributes member\n"
        )
        self.start()
        self.change("dn: o=corp\nobjectClass: organization\no: corp\n\n")

    def arguments(self) -> list[str]:
        return [SLAPD, "-d", "0", "-f", str(self.folder / "slapd.conf"), "-h", self.url]

    def listens_at(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def add_users(self, *names: str, **attributes: str) -> None:
        facts = "".join(f"{attribute}: {value}\n" for attribute, value in attributes.items())
        self.change(
            "".join(
                f"dn: uid={name},o=corp\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n{facts}\n"
                for name in names
            )
        )

    def add_group(self, name: str, *members: str) -> None:
        facts = "".join(f"member: {member},o=corp\n" for member in members)
        self.change(f"dn: cn={name},o=corp\nobjectClass: groupOfNames\ncn: {name}\n{facts}\n")

    def member(self, how: str, group: str, member: str) -> None:
        self.change(f"dn: cn={group},o=corp\nchangetype: modify\n{how}: member\nmember: {member},o=corp\n\n")
