"""The one exception that means "your input is wrong"."""


class InputError(ValueError):
    """A value that the user gave cannot be used; its text is one sentence that names the value.

    The command line prints the sentence and exits with status 2, without a traceback.

    >>> raise InputError("1 cluster asked for: at least 2 are needed")
    Traceback (most recent call last):
    clusterability.base.errors.InputError: 1 cluster asked for: at least 2 are needed
    """


def reason(failure: Exception) -> str:
    """The first line that an exception says, or else its kind.

    >>> reason(OSError("no route\\nto host")), reason(KeyError())
    ('no route', 'KeyError')
    """
    return (str(failure).strip() or type(failure).__name__).splitlines()[0]
