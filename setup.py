"""Installs the market maker. This file must parse on Python 3.6."""

import os
import re
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "marketmaker needs Python 3.11 or newer, this is %s. Run: "
        "python3.11 -m venv .venv && .venv/bin/pip install -e ." % sys.version.split()[0]
    )

try:
    from setuptools import find_packages, setup
except ImportError:
    sys.exit("setuptools is missing. Run: python3 -m venv .venv && .venv/bin/pip install -e .")

HERE = os.path.dirname(os.path.abspath(__file__))


def read(*names):
    path = os.path.join(HERE, *names)
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


VERSION = re.search(r'VERSION = "(.+?)"', read("market_maker", "utils", "constants.py")).group(1)

setup(
    name="marketmaker",
    version=VERSION,
    description="A classic threaded market maker with a built-in exchange",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=find_packages(include=["market_maker", "market_maker.*"]),
    install_requires=[
        "requests>=2.31",
        "urllib3>=2.2",
        "websocket-client>=1.9.2",
        "python-dotenv>=1.0",
        "wsproto>=1.2",
        'orjson>=3.9; platform_python_implementation == "CPython"',
    ],
    extras_require={
        "test": ["pytest>=7.4", "pytest-xdist>=3.5", "responses>=0.24", "hypothesis>=6.80"],
        "ccxt": ["ccxt>=4.5.60,<5"],
        "dev": ["ruff", "mypy", "types-requests"],
    },
    entry_points={"console_scripts": ["marketmaker = market_maker.cli:main"]},
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Financial and Insurance Industry",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Office/Business :: Financial :: Investment",
    ],
)
