#!/usr/bin/env python3
"""`hydrant doctor` names just the statement that is missing, for a foreign user with what `hydrant policy` printed and nothing else, on
each S3 server that can be had here."""
import json
import os
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import servers

LAKE = "s3://%s/team/lake" % servers.BUCKET
STATEMENTS = ["HydrantList", "HydrantRead", "HydrantWrite", "HydrantAbort", "HydrantDelete"]


def doctor(env):
    """(exit code, the statements that it says are missing)"""
    done = hydrant("doctor", "--lake", LAKE, "--maintenance", env=env)
    missing = [line for line in done.stdout.decode().splitlines() if line.startswith("  MISSING")]
    named = {s for s in STATEMENTS if any("(%s)" % s in line for line in missing)}
    hints = [line for line in done.stdout.decode().splitlines() if "everything is refused" in line]
    return done.returncode, named if len(named) == len(missing) else missing, done.stderr.decode() + "".join(hints)


def on_server(server):
    admin, env = server.client(server.admin), server.environment(server.stranger)
    printed = hydrant("policy", "--lake", LAKE, "--principal", server.stranger.arn, "--maintenance")
    policy = json.loads(printed.stdout)
    for gone in [None, *STATEMENTS]:
        admin.put_object(Bucket=servers.BUCKET, Key="team/lake/sample", Body=b"the owner's")
        admin.put_bucket_policy(Bucket=servers.BUCKET, Policy=json.dumps(
            dict(policy, Statement=[s for s in policy["Statement"] if s["Sid"] != gone])))
        want = (1, {gone}, "") if gone else (0, set(), "")
        equal("%s: without %s" % (server.name, gone or "nothing"), doctor(env), want)
    uploads = admin.list_multipart_uploads(Bucket=servers.BUCKET).get("Uploads", [])
    equal(server.name + ": of uploads in parts only the one stays that could not be given up", [u["Key"] for u in uploads], ["team/lake/_hydrant/doctor/probe"])
    env["AWS_SECRET_ACCESS_KEY"] = "canary-secret-0123456789"
    code, named, said = doctor(env)
    # radosgw with STS calls it AccessDenied
    check(server.name + ": a wrong secret is told from a missing right, and is not shown", code == 1 and "canary" not in said and
          ("the secret is right" in said if server.name == "radosgw" else not named and "secret key is wrong" in said), (code, named, said))


servers.each(on_server)
done_testing()
