"""A filter for Swift's pipeline: a cache that keeps nothing, for machines without memcached.

Without any cache tempauth answers an unknown token with 500. One in each process would let two workers disagree for a minute.
"""


class Empty:
    """Has every method of Swift's memcache client, and none of them does anything."""

    def get(self, key, raise_on_error=False, **options):
        return None

    def get_multi(self, keys, *names, **options):
        return [None] * len(keys)

    def incr(self, key, delta=1, **options):
        return delta

    def __getattr__(self, name):
        return lambda *positional, **options: None


def filter_factory(global_conf, **local_conf):
    cache = Empty()

    def wrap(app):
        def call(environ, start_response):
            environ["swift.cache"] = cache
            return app(environ, start_response)

        return call

    return wrap
