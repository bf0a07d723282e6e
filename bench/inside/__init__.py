"""What has no peer: graftd's own paths and limits. Each measure is a function of Settings: it measures one thing on daemons that it starts, and
returns what goes into the JSON, and lines for people. Times are in µs unless they say ms or s."""
from inside.abort import abort_cost
from inside.kit import Settings, native
from inside.limits import overshoot, successor
from inside.loading import first, grafts
from inside.state import keys, recovery
from inside.vino import vino

ABOUT = {
    "overshoot": "how late the error of a spinning call is, on an idle machine and on one that is busy",
    "successor": "from the kill of a worker to the next answer",
    "vino": "VINO's paths: base, null, unsafe, safe, abort",
    "abort-cost": "a call that is taken back: a + b * locks + c * undo records",
    "first": "from GRAFT LOAD to the first answer",
    "grafts": "memory and speed, from 1 graft to 1000",
    "recovery": "start after SIGKILL, with a full log",
    "keys": "speed, from 10^3 keys on",
}

MEASURES = {
    "overshoot": overshoot,
    "successor": successor,
    "vino": vino,
    "abort-cost": abort_cost,
    "first": first,
    "grafts": grafts,
    "recovery": recovery,
    "keys": keys,
}
