-- Runs are counted in step with the rows, by workflow and by workflow and owner. The length keeps
-- apart what would be one name: both databases count characters.
INSERT INTO counts (scope, n)
SELECT 'runs/' || LENGTH(workflow_id) || '/' || workflow_id, COUNT(*) FROM workflow_runs GROUP BY workflow_id;
INSERT INTO counts (scope, n)
SELECT 'runs/' || LENGTH(workflow_id) || '/' || workflow_id || '/' || resource_id, COUNT(*) FROM workflow_runs
WHERE resource_id IS NOT NULL GROUP BY workflow_id, resource_id;

-- How a run stands changes too often to be counted that way: these hold everything that lists of
-- such runs are counted and sorted by.
DROP INDEX workflow_runs_by_status;
CREATE INDEX workflow_runs_by_status ON workflow_runs (workflow_id, status, created_at, run_id);
DROP INDEX workflow_runs_by_owner;
CREATE INDEX workflow_runs_by_owner ON workflow_runs (workflow_id, resource_id, created_at, run_id, status);
