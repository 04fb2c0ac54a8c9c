-- name: claim_step — claim a step's key; waits for another attempt that has it. Returns `claimed`, `known` or `undone`
select {schema}.claim_step(cast(:key as text), cast(:tenant as text), cast(:run as text))

-- name: step_result — what the step returned when it ran
select result from {schema}.step_results where key = cast(:key as text)

-- name: keep_step_result — store the step's result, in the transaction of its effect
update {schema}.step_results set result = cast(:result as bytea), done_at = clock_timestamp() where key = cast(:key as text)
