#!/usr/bin/python3
"""Keeps objects in an S3 store as people do, with boto3, and says what the store says of them: objects.py ENDPOINT ACCESS

Each line of standard input is a list of strings in JSON; a line of standard output answers it:

    ["make", SECRET, BUCKET]                            where the new bucket is
    ["put", SECRET, BUCKET, KEY, FILE]                  the ETag of the new object
    ["put", SECRET, BUCKET, KEY, FILE, PART_BYTES]      the same of one that is uploaded in parts
    ["status", SECRET, BUCKET, KEY]                     the status of a request for an object

For Debian's own interpreter, which has boto3 as a package.
"""

import json
import signal
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

# Longer than any of it takes on a busy machine. What reaches it ends the script.
BOUND_SECONDS = 100
SETTINGS = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    connect_timeout=30,
    read_timeout=60,
    retries={"max_attempts": 2},
)


def make(client, bucket):
    return client.create_bucket(Bucket=bucket)["Location"]


def put(client, bucket, key, file, part=None):
    if part:
        size = int(part)
        parts = TransferConfig(multipart_threshold=size, multipart_chunksize=size, use_threads=False)
        client.upload_file(file, bucket, key, Config=parts)
    else:
        with open(file, "rb") as body:
            client.put_object(Bucket=bucket, Key=key, Body=body)
    return client.head_object(Bucket=bucket, Key=key)["ETag"]


def status(client, bucket, key):
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        answer = error.response
    return answer["ResponseMetadata"]["HTTPStatusCode"]


ACTIONS = {"make": make, "put": put, "status": status}
endpoint, access = sys.argv[1:]
clients = {}
for line in sys.stdin:
    signal.alarm(BOUND_SECONDS)
    action, secret, *words = json.loads(line)
    if secret not in clients:
        keys = {"aws_access_key_id": access, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        clients[secret] = boto3.client("s3", endpoint_url=endpoint, config=SETTINGS, **keys)
    print(ACTIONS[action](clients[secret], *words), flush=True)
    signal.alarm(0)
