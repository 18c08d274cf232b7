-- Lists of the runs of all workflows: in order of time, of those that stand so, of an owner's.
CREATE INDEX workflow_runs_of_all ON workflow_runs (created_at, run_id);
CREATE INDEX workflow_runs_of_all_by_status ON workflow_runs (status, created_at, run_id);
CREATE INDEX workflow_runs_of_all_by_owner ON workflow_runs (resource_id, created_at, run_id, status)
WHERE resource_id IS NOT NULL;
