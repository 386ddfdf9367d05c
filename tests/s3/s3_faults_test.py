#!/usr/bin/env python3
"""The fault proxy does what it says, in front of a real server: a test that trusts it must be able to."""
import os
import sys
import time

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import faults
import servers


def outcome(call):
    from botocore.exceptions import BotoCoreError, ClientError
    try:
        call()
        return "done"
    except ClientError as e:
        return e.response["Error"]["Code"]
    except BotoCoreError as e:
        return type(e).__name__
    except Exception as e:  # urllib3's own, while a body is read
        return type(e).__name__


def there(s3, key):
    return outcome(lambda: s3.head_object(Bucket=servers.BUCKET, Key=key)) == "done"


def on_server(server):
    plain = server.client(server.owner)
    with faults.FaultProxy(server.url, 7) as proxy:
        s3 = server.client(server.owner, url=proxy.url)
        once = server.client(server.owner, url=proxy.url, config={"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 20})
        put = lambda key, **more: outcome(lambda: once.put_object(Bucket=servers.BUCKET, Key=key, Body=b"12345678", **more))
        equal("without faults requests pass", put("plain"), "done")
        body = os.urandom(24 << 20)
        started = time.monotonic()
        s3.put_object(Bucket=servers.BUCKET, Key="big", Body=body)
        equal("bytes pass unchanged", s3.get_object(Bucket=servers.BUCKET, Key="big")["Body"].read() == body, True)
        print("# 24 MiB there and back in %.2f s" % (time.monotonic() - started))
        for kind, said, applied in [("slow_down", "SlowDown", False), ("error", "InternalError", False), ("error_after", "InternalError", True),
                                    ("reset_before", "ConnectionClosedError", False), ("reset_after", "ConnectionClosedError", True)]:
            proxy.set(rate=1, kinds=[kind])
            equal("%s: the client sees it" % kind, put(kind), said)
            equal("%s: the store %s" % (kind, "did it" if applied else "never saw it"), there(plain, kind), applied)
        proxy.set(rate=1, kinds=["conflict"])
        equal("conflict: a create is told to try again", put("conflict", IfNoneMatch="*"), "ConditionalRequestConflict")
        proxy.set(rate=1, kinds=["short"])
        short = outcome(lambda: once.get_object(Bucket=servers.BUCKET, Key="big")["Body"].read())
        check("short: the body ends early", short not in ("done",), short)
        proxy.set(rate=0, forbid=["ListBucket"])
        equal("forbid: just that operation is refused", (outcome(lambda: once.list_objects_v2(Bucket=servers.BUCKET)), put("free")), ("AccessDenied", "done"))
        proxy.set(forbid=[], skew=7200)
        equal("skew: the clock is wrong", put("skewed"), "RequestTimeTooSkewed")
        proxy.set(skew=0, down=True)
        check("down: nobody answers", put("down") in ("ConnectionClosedError", "EndpointConnectionError"), put("down"))
        proxy.set(down=False)
        equal("and again", put("up"), "done")
        counts = proxy.counts()
        check("it counts what it did", counts["slow_down"] == 1 and counts["reset_after"] == 1 and counts["forbidden"] == 1, counts)


try:
    with servers.start("versitygw") as server:
        on_server(server)
except servers.Unavailable as why:
    try:
        with servers.start("radosgw") as server:
            on_server(server)
    except servers.Unavailable as also:
        skip("versitygw", "%s; %s" % (why, also))
done_testing()
