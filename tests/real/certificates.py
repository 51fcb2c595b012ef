"""An authority of the tests' own, and certificates from it, by openssl."""

import pathlib
import subprocess


class Authority:
    """Its files are under one directory; `pem` is what others believe."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.pem = self.directory / f"{name}.pem"
        self._make(name, "-x509", "-subj", f"/CN={name} of the tests", "-days", "2",
                   "-addext", "keyUsage=critical,keyCertSign")

    def _make(self, name, *words):
        files = ["-keyout", self.directory / f"{name}.key", "-out", self.directory / f"{name}.pem"]
        subprocess.run(
            ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             *words, *files],
            check=True, capture_output=True, timeout=30)

    def certificate(self, name, host):
        """The files of a certificate for a host, and of its key."""
        self._make(name, "-x509", "-CA", self.pem, "-CAkey", self.directory / f"{self.name}.key",
                   "-subj", f"/CN={host}", "-days", "2", "-addext", f"subjectAltName=DNS:{host}",
                   "-addext", "basicConstraints=critical,CA:FALSE")
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"
