-- Acts by their name: the newest backup among years of acts is asked for every minute.
CREATE INDEX CONCURRENTLY act_action ON kernel.act ((replace(action, '.', '_') COLLATE "C"), id DESC);
