"""The storages that a study can live in, and what each adds so that workers never collide.

A worker takes, keeps and ends a trial in several writes, which must look like one: else two have
the same trial, or there is one too many. Each storage therefore comes with an exclusion, and the
exclusion is of the storage, not of the study's folder, which machines need not share:

- SQLite and the journal are files: a lock of the kernel on a file beside them, which the kernel
  lets go of when its holder dies.
- PostgreSQL: an advisory lock of the server, held by a transaction, which ends with its connection.
- The gRPC proxy: its server takes the lock of the database behind it for one client at a time, so
  that workers with the proxy and workers with the database exclude each other too. A client that
  goes silent loses the lock after `exclusion.LOCK_SECONDS`.

A server that is started again has forgotten its locks, so their holders ask before they write
(`guarding`).

A lock out of Optuna's own operations alone (WAITING to RUNNING is atomic on every storage) would
need a trial for each time it is taken, and a way to take it from the dead; we tried none of that.
"""
