"""A program for test_ray.py: a Ray cluster of two nodes of which one is killed in the middle of a job.

It runs in a folder with a model and the data set rows/, writes the results there, and prints what it saw in JSON.
"""

import json
import os
import time

import pyarrow.parquet as pq
import ray
from ray.cluster_utils import Cluster
from slow_model import Slow, Unreadable

import cgru
from cgru.batch.ray import Predictor, run

HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}


def arrivals():
    """[node, process] of each time the slow model was unpickled since the last call."""
    with open(os.environ["ARRIVALS"], "r+", encoding="utf-8") as file:
        found = [line.split() for line in file]
        file.truncate(0)
    return found


def free_cores():
    """Once what ended has ended."""
    for _ in range(100):
        free = ray.available_resources().get("CPU", 0)
        if free == ray.cluster_resources()["CPU"]:
            break
        time.sleep(0.1)
    return free


plain = cgru.load("model.safetensors")
slow = Slow.from_weights(plain.weights)
arguments = {"column": "frames", "keep": ["id"], "rows": 50}
seen, left_out, done, places = {}, [], 0, set()
open(os.environ["ARRIVALS"], "w").close()
cluster = Cluster(True, head_node_args=NODE | {"_system_config": HEALTH})
second = cluster.add_node(**NODE)


def progress(rows):
    """Kill a node when both have computed, and more than half is still to do."""
    global done
    done += rows
    if "killed_after" not in seen:
        places.update(line[0] for line in arrivals_so_far())
        if done >= 500 and len(places) == 2:
            seen["killed_after"] = done
            cluster.remove_node(second, allow_graceful=False)


def arrivals_so_far():
    """As `arrivals`, without forgetting them."""
    with open(os.environ["ARRIVALS"], encoding="utf-8") as file:
        return [line.split() for line in file]


# a cluster that is given, in order
run(
    slow, "rows", "ordered.parquet", bad="skip", address=cluster.address, progress=progress,
    skipped=lambda *one: left_out.append(one), **arguments,
)  # fmt: skip
seen |= {"rows": done, "left_out": left_out, "arrivals": arrivals(), "connected": ray.is_initialized()}

# what is left of it, which has been connected to; in any order
ray.init(cluster.address, log_to_driver=False)
seen |= {"cores": ray.cluster_resources()["CPU"], "free": free_cores()}
run(plain, "rows", "unordered.parquet", bad="skip", ordered=False, output="state", **arguments)
try:
    run(plain, "rows", "absent.parquet", **arguments)
except ValueError as error:
    seen["error"] = str(error)
try:
    run(Unreadable.from_weights(plain.weights), "rows", "absent.parquet", **arguments)
except OSError as error:
    seen["unreadable"] = str(error)
seen |= {"still_connected": ray.is_initialized(), "free_again": free_cores()}

# a data set of one's own
table = pq.read_table("rows/b.parquet").slice(100, 400)
rows = ray.data.from_arrow([table.slice(start, 50) for start in range(0, 400, 50)])
rows = rows.map_batches(
    Predictor, fn_constructor_args=[slow, "frames"], fn_constructor_kwargs={"keep": ["id"]},
    batch_format="pyarrow", batch_size=40, compute=ray.data.ActorPoolStrategy(size=1),
)  # fmt: skip
arrivals()
rows.write_parquet("predicted")
seen["actors"] = arrivals()
ray.shutdown()
cluster.shutdown()
print(json.dumps(seen))
