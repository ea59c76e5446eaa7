-- An SQLite database as Lateshift 0.1.0 made it (commit 119e7e7), at schema 1, with jobs in every state.
-- Written by that version's own code, and read out with Python's Connection.iterdump(). It never changes.
BEGIN TRANSACTION;
CREATE TABLE lateshift_attempts (
    job_id text not null,
    lease integer not null,
    number integer not null,
    outcome text not null,
    worker text,
    started_at integer,
    finished_at integer,
    error_type text,
    error_message text,
    error_traceback text,
    primary key (job_id, lease)
) without rowid;
INSERT INTO "lateshift_attempts" VALUES('00000009-failed',1,1,'failed','worker-1',1749988800000000,1749988800000000,'ValueError','no such order','Traceback ...');
INSERT INTO "lateshift_attempts" VALUES('00000011-pending-retry',1,1,'retry','worker-1',1749988801000000,1749988801000000,'ValueError','no such order','Traceback ...');
CREATE TABLE lateshift_jobs (
    seq integer primary key,
    id text not null unique,
    name text not null,
    queue text not null,
    executor text not null,
    priority integer not null,
    status text not null,
    run_at integer not null,
    lease integer not null default 0,
    attempts integer not null default 0,
    crashes integer not null default 0,
    max_retries integer not null,
    worker text,
    enqueued_at integer not null,
    started_at integer,
    finished_at integer,
    cancel_requested integer not null default 0,
    progress real,
    progress_message text,
    error_type text,
    error_message text,
    error_traceback text,
    result text,
    options text,
    parameters text not null
);
INSERT INTO "lateshift_jobs" VALUES(1,'00000001-pending','app.jobs.ProcessOrder.handle','default','thread',1,'pending',1749988800000000,0,0,0,3,NULL,1749988800000000,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"order_id":2}');
INSERT INTO "lateshift_jobs" VALUES(2,'00000003-pending','app.jobs.ProcessOrder.handle','mail','loop',7,'pending',1749988800000000,0,0,0,3,NULL,1749988800000000,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"order_id":4}');
INSERT INTO "lateshift_jobs" VALUES(3,'00000005-pending','app.jobs.ProcessOrder.handle','default','thread',10,'pending',1749992400000000,0,0,0,3,NULL,1749988800000000,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"order_id":6}');
INSERT INTO "lateshift_jobs" VALUES(4,'00000007-completed','app.jobs.ProcessOrder.handle','default','thread',1,'completed',1749988800000000,1,1,0,3,'worker-1',1749988800000000,1749988800000000,1749988800000000,0,NULL,NULL,NULL,NULL,NULL,'{"order_id":7,"processed":true}',NULL,'{"order_id":8}');
INSERT INTO "lateshift_jobs" VALUES(5,'00000009-failed','app.jobs.ProcessOrder.handle','default','thread',1,'failed',1749988800000000,1,1,0,3,'worker-1',1749988800000000,1749988800000000,1749988800000000,0,NULL,NULL,'ValueError','no such order','Traceback ...',NULL,NULL,'{"order_id":10}');
INSERT INTO "lateshift_jobs" VALUES(6,'00000011-pending-retry','app.jobs.ProcessOrder.handle','default','thread',1,'pending_retry',1749988861000000,1,1,0,3,'worker-1',1749988801000000,1749988801000000,NULL,0,NULL,NULL,'ValueError','no such order','Traceback ...',NULL,NULL,'{"order_id":12}');
INSERT INTO "lateshift_jobs" VALUES(7,'00000013-cancelled','app.jobs.ProcessOrder.handle','default','thread',1,'cancelled',1749988801000000,0,0,0,3,NULL,1749988801000000,NULL,1749988801000000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"order_id":14}');
INSERT INTO "lateshift_jobs" VALUES(8,'00000015-running','app.jobs.ProcessOrder.handle','default','thread',1,'running',1749988801000000,1,1,0,3,'worker-1',1749988801000000,1749988801000000,NULL,0,0.5,'half way',NULL,NULL,NULL,NULL,NULL,'{"order_id":16}');
INSERT INTO "lateshift_jobs" VALUES(9,'00000017-running','app.jobs.ProcessOrder.handle','mail','thread',1,'running',1749988801000000,1,1,0,3,'worker-1',1749988801000000,1749988801000000,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,'{"timeout":30.0}','{"order_id":18}');
INSERT INTO "lateshift_jobs" VALUES(10,'00000019-pending','app.jobs.ProcessOrder.handle','held','thread',1,'pending',1749988801000000,0,0,0,3,NULL,1749988801000000,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"order_id":20}');
CREATE TABLE lateshift_logs (
    job_id text not null,
    lease integer not null,
    number integer not null,
    lines text not null,
    primary key (job_id, lease)
) without rowid;
INSERT INTO "lateshift_logs" VALUES('00000007-completed',1,1,'processing order 7
done');
INSERT INTO "lateshift_logs" VALUES('00000015-running',1,1,'half way');
CREATE TABLE lateshift_meta (name text not null primary key, value integer not null);
INSERT INTO "lateshift_meta" VALUES('runner_spawned_at',0);
INSERT INTO "lateshift_meta" VALUES('schema',1);
CREATE TABLE lateshift_queues (name text not null primary key, paused_at integer);
INSERT INTO "lateshift_queues" VALUES('held',1749988801000000);
CREATE TABLE lateshift_statistics (
    minute integer not null,
    queue text not null,
    worker text not null,
    completed integer not null,
    failed integer not null,
    retried integer not null,
    cancelled integer not null,
    run_time integer not null,
    wait_time integer not null,
    primary key (minute, queue, worker)
) without rowid;
INSERT INTO "lateshift_statistics" VALUES(29166480,'default','worker-1',1,1,1,1,1000,2000);
CREATE TABLE lateshift_workers (
    id text not null primary key,
    kind text not null,
    host text not null,
    pid integer not null,
    folder text not null,
    queues text not null,
    version text not null,
    started_at integer not null,
    heartbeat_at integer not null
);
INSERT INTO "lateshift_workers" VALUES('worker-1','worker','host-1',4711,'/run/lateshift','[]','1.0',1749988800000000,1749988800000000);
INSERT INTO "lateshift_workers" VALUES('runner-1','runner','host-1',4711,'/run/lateshift','[]','1.0',1749988800000000,1749988800000000);
CREATE INDEX lateshift_jobs_waiting on lateshift_jobs (queue, executor, priority desc, run_at, seq)
where status in ('pending', 'pending_retry');
CREATE INDEX lateshift_jobs_running on lateshift_jobs (worker) where status = 'running';
CREATE INDEX lateshift_jobs_finished on lateshift_jobs (status, finished_at) where finished_at is not null;
COMMIT;
