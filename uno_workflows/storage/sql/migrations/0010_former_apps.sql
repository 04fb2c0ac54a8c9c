-- The apps that a subscription belonged to before it was adopted: the runs that they began stay on their task queues in Temporal.
create table {schema}.former_apps (
  subscription text        not null references {schema}.subscriptions on delete cascade,
  app          text        not null,
  adopted_at   timestamptz not null default clock_timestamp(),
  primary key (subscription, app)
);
