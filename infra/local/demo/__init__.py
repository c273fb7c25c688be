"""``make demo``: the whole pipeline on this machine, from a folder of images to an answer of the model server."""

from infra.local.demo.main import run_demo

__all__ = ["run_demo"]
