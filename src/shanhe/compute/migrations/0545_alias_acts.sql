-- Who gave, moved or dropped a model's further name is an act; the row keeps the last one only.
SELECT kernel.watch('compute.alias', 'name, model, changed_by');
