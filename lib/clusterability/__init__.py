"""The Clusterability Companion: do neural networks fall into clusters?"""

__version__ = "0.1.0"
__all__ = ["ClusterabilityPenalty"]


def __getattr__(name: str):
    """The penalty on demand: importing PyTorch takes a second that the command line need not wait."""
    if name == "ClusterabilityPenalty":
        from clusterability.penalties.module import ClusterabilityPenalty

        return ClusterabilityPenalty
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
