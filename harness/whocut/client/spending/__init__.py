"""The spend guard: what an attempt may cost at most, what has been spent, and whether the next one may go out.

::

    bound     a request's body → the most its attempt can cost          pure
    settling  how an attempt ended → what it cost, as far as is known   pure
    tally     what an account's lines add up to; may the next go out?   pure
    breaker   do too many of the last attempts fail?                    pure
    account   the file: whole lines, a lock, one sum for all processes
    guard     before the wire: `admit`, then `Permit.settle`
"""

from whocut.client.spending.account import SpendAccount, account_path
from whocut.client.spending.guard import Guard, Permit
from whocut.client.spending.tally import Limits

__all__ = ["Guard", "Limits", "Permit", "SpendAccount", "account_path"]
