"""The Clusterability Companion: do neural networks fall into clusters?"""

__version__ = "0.1.0"
