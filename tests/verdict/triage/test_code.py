"""Source code in a paste: no request is read out of it, and what a program printed is still read."""

from __future__ import annotations

import pytest

from whocut.verdict.triage import Cause, triage

PYTHON = '''
import httpx

class Draws:
    """Draws one picture."""

    def __init__(self, client):
        self.client = client

    async def one(self, prompt):
        try:
            return await self.client.post("/v1/images/generations", json=prompt)
        except httpx.ConnectTimeout:
            raise RuntimeError("connection refused or timed out")
        except httpx.ReadTimeout:
            return None
'''
GO = """
func (c *client) draw(ctx context.Context) error {
	resp, err := c.do(ctx)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("unexpected EOF")
	}
	if err != nil {
		return errors.New("connection reset by peer")
	}
	defer resp.Body.Close()
	return nil
}
"""


def test_source_code_tells_of_no_request() -> None:
    """A program that handles errors has not met them."""
    for text in (PYTHON, GO):
        found = triage(text)

        assert (found.cause, found.layer, found.timer) == (Cause.UNKNOWN, None, None)
        assert "source code" in found.name


def test_what_the_program_printed_is_read_below_its_code() -> None:
    """The last line of a traceback outranks the code around it."""
    found = triage(
        f"{PYTHON.partition('            raise')[0]}\nhttpx.ReadTimeout: The read operation timed out"
    )

    assert (found.cause, found.layer) == (Cause.TIMEOUT_CHAIN, "httpx")


def test_a_stack_trace_is_never_taken_for_code() -> None:
    """Frames look like code; the words above them are what was printed."""
    frames = "\n".join(f"#{number} /srv/Handler/Curl.php({number}): A::b()" for number in range(12))

    found = triage(
        f"PHP Fatal error:  Uncaught E: cURL error 28: Operation timed out after 800 milliseconds\n{frames}"
    )

    assert found.cause is Cause.TIMEOUT_CHAIN


def test_a_few_lines_are_never_taken_for_code() -> None:
    """An error that Node shows as an object looks like code, and is none."""
    found = triage("TypeError: fetch failed {\n  cause: {\n    code: 'UND_ERR_HEADERS_TIMEOUT',\n  },\n};")

    assert found.layer == "undici"


def test_a_column_of_numbers_holds_no_status() -> None:
    """A table is no list of answers, and a number that no server uses is no status."""
    assert triage("504\n506\n512\n544\n560\n592\n").status is None
    assert triage("504, 17, 502,\n506, 503,\n512, 1,\n  500, 429,\n").status is None
    assert triage("544").status is None


DOCSTRING = '''
class Handler:
    def answer(self):
        pass

    def start(self):
        """Process an incoming request.

        It reads the request line and the headers, and calls the handler.
        By default it always returns with 404 response.

        Errors of the connection end it: ConnectionResetError, a read that timed out.
        """
        loop = self._loop
        handler = loop.create_task(self._run())
        manager = self._manager
        return handler
'''
TEMPLATES = """
        except SocketTimeout:
            raise ConnectTimeoutError(
                self,
                "Connection to %s timed out. (connect timeout=%s)"
                % (self.host, self.timeout),
            )
        except OSError as e:
            raise NewConnectionError(
                self, "Failed to establish a new connection: %s" % e
            )
"""
PACKED = (
    "s.emit('error',o));this[rs](h)})}[pt](t=()=>{}){this.fd!==void 0&&X.close(this.fd,t)}[rs](t){if(t<=0&&"
    "this.remain>0){let r=Object.assign(new Error('encountered unexpected EOF'),{path:this.absolute,code:'EOF'});"
    "return this[pt](()=>this.emit('error',r))}if(t>this.remain){let r=new Error('no unexpected EOF');throw r}"
) * 2


@pytest.mark.parametrize("text", [DOCSTRING, TEMPLATES, PACKED], ids=["docstring", "templates", "packed"])
def test_what_a_program_would_say_has_not_been_said(text: str) -> None:
    """Docstrings, messages with places for values, and packed programs tell of no request."""
    found = triage(text)

    assert (found.cause, found.layer, found.timer) == (Cause.UNKNOWN, None, None)


CHANGES = """
## v0.9.3

### Fixes

- Percent-encode more illegal characters in file names.
- Ensure timed out requests cancel the associated task.

## v0.9.2

- Fix the code that detects a premature EOF.
"""
LISTED = """
The most common errors are:

Errno::ECONNREFUSED:: Connection refused by the host
Errno::ETIMEDOUT:: Connection timed out
Errno::ENETUNREACH:: There is no route to that network
"""
MODEL = """
    "errors":[
      {"shape":"AccessDeniedException"},
      {"shape":"InternalServerException"},
      {"shape":"ThrottlingException"}
    ],
"""
MANUAL = """
.. option:: timeout

   Optional request timeout in seconds, see :class:`Session`.
   A request that timed out raises :exc:`ReadTimeout`.
"""


@pytest.mark.parametrize(
    "text", [CHANGES, LISTED, MODEL, MANUAL], ids=["changes", "a list", "a model", "a manual"]
)
def test_what_explains_errors_has_not_met_them(text: str) -> None:
    """Changes of versions, lists of errors by name and manuals are no error that happened."""
    found = triage(text)

    assert (found.cause, found.layer, found.timer) == (Cause.UNKNOWN, None, None)


def test_an_error_below_a_list_of_changes_is_read() -> None:
    """A line that tells of something that happened outranks the form of the text."""
    found = triage(f"{CHANGES}\nlib.ReadTimeout: Read timed out. (read timeout=60)")

    assert found.cause is Cause.TIMEOUT_CHAIN


def test_rules_of_a_vendors_own_are_no_refusal() -> None:
    """An object that is an `error` by its own kind alone was not answered by an API."""
    assert (
        triage('{"conditions": [], "error": "This is not supported here", "type": "error"}').cause
        is Cause.UNKNOWN
    )


@pytest.mark.parametrize(
    "text",
    [
        "394, 0xda24661a01b7d0b3\n400, 0x6bea750f17a66836\n401, 0xbc2add72eac84c25\n402, 0xcff058d3f97934ca\n",
        "383, 750, 2745,  # 3430\n98, 1295, 2548,  # 3446\n523, 2776, 2777,  # 3462\n",
        "9300 9c00 a500 ae00 b700",
        "x8 = 101\nf(500)\n",
    ],
)
def test_a_number_in_a_table_or_a_call_is_no_status(text: str) -> None:
    """Hexadecimal words, rows with remarks, and arguments of a function are no answers."""
    assert triage(text).status is None


def test_a_short_piece_is_code_where_each_line_is() -> None:
    """Three lines of a program that names an error have not met it either."""
    asserted = """
        self.assertEqual(ex.args, ('timed out',))
        self.assertEqual(str(ex), 'timed out')

if __name__ == '__main__':"""
    numbered = """
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014

class Kind(IntEnum):
    # as written
    CONTINUATION = 0x0"""

    found = [triage(piece) for piece in (asserted, numbered)]

    assert [one.cause for one in found] == [Cause.UNKNOWN, Cause.UNKNOWN]


def test_fields_with_their_types_and_docstrings_are_code() -> None:
    """A model of an answer is no answer, whatever its fields are called and its docstrings explain."""
    piece = """
    categories: List[str]
    \"\"\"Public moderation categories of a `moderation_blocked` error.\"\"\"

    truncation: Literal["auto", "disabled"]
    \"\"\"
    If the input is too long the request will fail with a 400 error.
    \"\"\"

    code: Optional[str] = None
    \"\"\"The error code.\"\"\"

    message: str
    """

    assert triage(piece).cause is Cause.UNKNOWN


def test_a_record_laid_out_over_lines_is_no_code() -> None:
    """A log's JSON has a bracket or a comma at the end of each line, and still tells of a request."""
    record = """{
  "severity": "ERROR",
  "httpRequest": {
    "requestMethod": "POST",
    "status": 504,
    "latency": "59.9s"
  },
  "labels": {
    "service": "draw"
  }
}"""

    found = triage(record)

    assert (found.cause, found.status, found.elapsed_s) == (Cause.TIMEOUT_CHAIN, 504, 59.9)


def test_points_that_only_mention_an_error_are_a_manual() -> None:
    """A name in a code span among points, and no word of a failure outside of the spans."""
    notes = """Local changes:

- Import `SocketTimeoutError` explicitly, which releases before 3.10 do not export.
- The README is kept without modification in `README.md`.
- The `aiohttp` adapter keeps its defaults."""

    assert triage(notes).cause is Cause.UNKNOWN
    assert triage(f"{notes}\n\nWith it I get `SocketTimeoutError`: the request failed").layer == "aiohttp"
