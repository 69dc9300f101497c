-- Open requests of people who were erased: nobody can read or answer them, and each stood among what is overdue for good.
DELETE FROM privacy.request r USING identity.person p
 WHERE p.id = r.person_id AND p.state = 'erased' AND r.state = 'open';
