"""Work of the CPU's that clients cause, beside the event loop: bounded in threads, in number and in time."""

import gc
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar, TypeVarTuple

from graphql import GraphQLError

from server.domain.errors import Unavailable
from server.threads import Threads

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Parameters = ParamSpec("Parameters")

MOST_WAITING: Final = 64  # calls in one line, the one at work included
LONGEST_SECONDS: Final = 30.0  # from joining a line to the result
YOUNGER_GENERATIONS: Final = 1  # of the cycle collector's: what was made since it last looked at all of them


class Overloaded(GraphQLError):
    """A request that is refused because others like it are in line already."""

    def __init__(self) -> None:
        super().__init__(
            "the server is busy with other large requests; try again in a moment, or ask for less at once",
            extensions={"code": "OVERLOADED"},
        )


class Offload:
    """Two threads for what would hold up the event loop: one for short work, one for whatever may take longer.

    Python runs one thread at a time, so more of them would only slow each other and the loop. What is short never
    waits behind what is long.
    """

    def __init__(self) -> None:
        self._quick = Line()
        self._slow = Line()

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments, quick: bool) -> Result:
        """Call `function` in a line; what it raises is raised here. Raises `Overloaded`."""
        return await (self._quick if quick else self._slow).run(function, *arguments)


class Line:
    """One thread, and those who wait for it, first come first served."""

    def __init__(self) -> None:
        self._threads = Threads(1)
        self._waiting = 0

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Call `function` when it is its turn. Raises `Overloaded` when that would take too long."""
        if self._waiting >= MOST_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            return await self._threads.run(
                function, *arguments, timeout_seconds=LONGEST_SECONDS, name="preparing a large request"
            )
        except Unavailable as error:
            raise Overloaded from error
        finally:
            self._waiting -= 1


def collecting(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """`function`, and then the end of the reference cycles that it left.

    A collection stops all threads for as long as it takes, which grows with what there is to collect. So what one call
    leaves goes before another leaves more.
    """

    @wraps(function)
    def called(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        result = function(*arguments, **options)
        gc.collect(YOUNGER_GENERATIONS)
        return result

    return called
