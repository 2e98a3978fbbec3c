"""How the tool says no."""


class NestbedError(Exception):
    """What is wrong and what would mend it, as one sentence for the user."""
