#!/usr/bin/env python3
"""A collection in somebody else's bucket: hydrant assumes a role of that account (radosgw: a tenant with its own users, bucket and role), which has
what `hydrant policy` printed and nothing else. radosgw 16 does not know the condition sts:ExternalId: the proxy in front of it asks for it. versitygw has no roles: a foreign user with the bucket policy alone is s3_doctor_test's."""
import json
import os
import sys

sys.path.insert(0, os.environ["HYDRANT_TESTS"])
sys.path.insert(0, os.path.join(os.environ["HYDRANT_TESTS"], "s3"))
from lib import *
import faults
import servers

BUCKET, ROLE = "customer-lake", "lake-writer"
LAKE = "s3://%s/team/lake" % BUCKET
EXTERNAL_ID = "made-up-by-the-customer"
STATEMENTS = ["HydrantList", "HydrantRead", "HydrantWrite", "HydrantAbort", "HydrantDelete"]
CONFIG = """
lake: main
commit_interval: 1s
commit_interval_idle: 1s
collections:
  orders:
    bucket: %s
    prefix: team/lake
    endpoint: %s
    path_style: true
    role_arn: arn:aws:iam::customer:role/%s
    external_id: ${EXTERNAL_ID}
    access_key: ${OUR_ACCESS_KEY}
    secret_key: ${OUR_SECRET_KEY}
"""


def compact(policy):
    """radosgw 16 takes no blanks in a form's values."""
    return json.dumps(policy, separators=(",", ":"))


class Customer:
    """The other account: its user, its bucket, the role that it made for us."""

    def __init__(self, server):
        self.account = server.user("customer-admin", caps="roles=*", tenant="customer")
        self.s3, self.iam = server.client(self.account), server.client(self.account, "iam")
        self.s3.create_bucket(Bucket=BUCKET)
        trust = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"AWS": [server.stranger.arn]}}]}
        self.iam.create_role(RoleName=ROLE, Path="/", AssumeRolePolicyDocument=compact(trust))

    def grant(self, policy):
        self.iam.put_role_policy(RoleName=ROLE, PolicyName="lake", PolicyDocument=compact(policy))

    def objects(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [o["Key"] for page in pages for o in page.get("Contents", [])]


def printed():
    return json.loads(hydrant("policy", "--lake", LAKE, "--maintenance").stdout)


def environment(server, **more):
    return {"OUR_ACCESS_KEY": server.stranger.access, "OUR_SECRET_KEY": server.stranger.secret, "EXTERNAL_ID": EXTERNAL_ID,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": servers.REGION, **more}


def works_with_the_role(server, customer):
    env = environment(server)
    customer.grant(printed())
    equal("by itself our user may do nothing in the customer's bucket",
          hydrant("doctor", "--lake", LAKE, env=dict(server.environment(server.stranger))).returncode, 1)
    lines = b"".join(b'{"order":%d,"text":"n%d"}\n' % (i, i) for i in range(500))
    with Server(None, "--config", "roles.yaml", env=env) as s:
        equal("events for it are acked", s.post("orders", lines, {"Content-Type": "application/x-ndjson"})[0], 200)
        status, answer, _ = s.request("POST", "/v1/collections/orders/flush")
        check("and committed to the customer's bucket with the role", status == 200 and any("orders/metadata/v" in k for k in customer.objects()), answer)
        with open("more.ndjson", "w") as f:
            f.write('{"order":500}\n')
        s.stop()
    done = hydrant("ingest", "orders", "more.ndjson", "--config", "roles.yaml", env=env)
    equal("a file goes there, too", done.returncode, 0)
    done = hydrant("query", "select count(*) as n, sum(\"order\") as s from orders", "--format", "ndjson", "--config", "roles.yaml", env=env)
    equal("SQL", (done.returncode, done.stdout.strip()), (0, b'{"n":501,"s":125250}'))
    done = hydrant("search", "orders", "text:n77", "--config", "roles.yaml", env=env)
    equal("search gives the exact bytes", done.stdout, b'{"order":77,"text":"n77"}\n')
    done = hydrant("verify", "orders", "--config", "roles.yaml", env=env)
    check("verify", done.returncode == 0 and b"501 events" in done.stdout, done.stdout + done.stderr)
    check("nothing of it is in our own lake", not os.path.exists("main/orders"))
    said = b"".join(open(name, "rb").read() for name in os.listdir(".") if name.endswith(".log")) + done.stdout + done.stderr
    check("neither key nor external id is in what it says", not any(x.encode() in said for x in (server.stranger.secret, EXTERNAL_ID)))


def each_statement_is_named(server, customer):
    customer.s3.put_object(Bucket=BUCKET, Key="team/lake/0-sample", Body=b"the customer's")  # who wrote an object may read it for that alone
    policy = printed()
    equal("the policy has just these statements", [s["Sid"] for s in policy["Statement"]], STATEMENTS)
    for gone in [None, *STATEMENTS]:
        customer.grant(dict(policy, Statement=[s for s in policy["Statement"] if s["Sid"] != gone]))
        done = hydrant("doctor", "--lake", LAKE, "--maintenance", "--config", "roles.yaml", env=environment(server))
        missing = [line for line in done.stdout.decode().splitlines() if line.startswith("  MISSING")]
        named = {s for s in STATEMENTS if any("(%s)" % s in line for line in missing)}
        equal("the role without %s: doctor names just that" % (gone or "nothing"), (done.returncode, named, len(missing)),
              (1, {gone}, 1) if gone else (0, set(), 0))
    customer.grant(dict(policy, Statement=policy["Statement"][1:]))
    done = hydrant("doctor", "--config", "roles.yaml", env=environment(server))
    check("doctor without --lake looks at every lake of the config file", done.returncode == 1 and b"/main\n" in done.stdout and LAKE.encode() + b"\n  MISSING" in
          done.stdout, done.stdout + done.stderr)
    customer.grant(policy)
    customer.s3.delete_object(Bucket=BUCKET, Key="team/lake/0-sample")


def who_may_not_assume_it(server, customer):
    done = hydrant("doctor", "--lake", LAKE, "--config", "roles.yaml", env=environment(server, EXTERNAL_ID="another"))
    check("with another external id the role cannot be assumed, and that is what is said", done.returncode == 1 and b"cannot be assumed" in done.stderr
          and b"MISSING" not in done.stdout, done.stdout + done.stderr)
    done = hydrant("doctor", "--lake", LAKE, "--config", "roles.yaml", env=environment(server, OUR_ACCESS_KEY=server.owner.access,
                                                                                       OUR_SECRET_KEY=server.owner.secret))
    check("nor by somebody whom the role does not trust", done.returncode == 1 and b"cannot be assumed" in done.stderr, done.stdout + done.stderr)


def objects_are_encrypted_with_the_key_that_is_asked_for(server, customer):
    """radosgw's key store for tests knows one key, and nothing of rights to keys."""
    env, s3 = server.environment(server.owner), server.client(server.owner)
    with open("one.ndjson", "w") as f:
        f.write('{"i":1}\n')
    for key, known in ((servers.KMS_KEY, True), ("no-such-key", False)):
        with open("kms.yaml", "w") as f:
            f.write('lakes:\n  default: {bucket: %s, prefix: %s, endpoint: "%s", path_style: true, kms: %s}\n' % (servers.BUCKET, key, server.url, key))
        done = hydrant("doctor", "--config", "kms.yaml", env=env)
        missing = [line for line in done.stdout.decode().splitlines() if line.startswith("  MISSING")]
        check("doctor with %s key" % ("a" if known else "an unknown"), done.returncode == 0 if known else
              done.returncode == 1 and len(missing) == 1 and "(HydrantKey)" in missing[0], done.stdout + done.stderr)
        done = hydrant("ingest", "events", "one.ndjson", "--data", "kms-" + key, "--config", "kms.yaml", env=env)
        check("%s key: events are %s" % (key, "stored" if known else "not, and the key is why"), done.returncode == 0 if known else
              done.returncode == 1 and b"KMS key" in done.stderr, done.stderr)
        objects = [o["Key"] for o in s3.list_objects_v2(Bucket=servers.BUCKET, Prefix=key).get("Contents", [])]
        heads = [s3.head_object(Bucket=servers.BUCKET, Key=k) for k in objects]
        equal("%s key: every object is encrypted with it" % key, {(h.get("ServerSideEncryption"), h.get("SSEKMSKeyId")) for h in heads}, {("aws:kms", key)} if known else set())


try:
    with servers.start("radosgw") as server, faults.FaultProxy(server.url) as proxy:
        proxy.set(external_id=EXTERNAL_ID)
        with open("roles.yaml", "w") as f:
            f.write(CONFIG % (BUCKET, proxy.url, ROLE))
        customer = Customer(server)
        for law in (works_with_the_role, each_statement_is_named, who_may_not_assume_it, objects_are_encrypted_with_the_key_that_is_asked_for):
            try:
                law(server, customer)
            except Exception as e:  # the next law is another's
                not_ok(law.__name__, repr(e))
except servers.Unavailable as why:
    skip("radosgw", why)
done_testing()
