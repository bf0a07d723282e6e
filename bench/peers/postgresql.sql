-- Rows are locked in the order of their keys, as one does who wants no deadlocks.
CREATE TABLE account (key text PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE blob (key text PRIMARY KEY, value bytea NOT NULL);

CREATE FUNCTION nop(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN what; END $$;

CREATE FUNCTION transfer(source text, target text, amount bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    have bigint;
    there bigint;
BEGIN
    IF source < target THEN
        SELECT value INTO have FROM account WHERE key = source FOR UPDATE;
        SELECT value INTO there FROM account WHERE key = target FOR UPDATE;
    ELSE
        SELECT value INTO there FROM account WHERE key = target FOR UPDATE;
        SELECT value INTO have FROM account WHERE key = source FOR UPDATE;
    END IF;
    IF have < amount THEN
        RAISE EXCEPTION 'insufficient funds';
    END IF;
    UPDATE account SET value = have - amount WHERE key = source;
    UPDATE account SET value = there + amount WHERE key = target;
    RETURN have - amount;
END $$;

CREATE FUNCTION spin(rounds bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    x bigint := 1;
BEGIN
    FOR i IN 1..rounds LOOP
        x := x * 16807 % 2147483647;
    END LOOP;
    RETURN x;
END $$;

CREATE FUNCTION give_up(one text, two text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account SET value = 1 WHERE key = least(one, two);
    UPDATE account SET value = 2 WHERE key = greatest(one, two);
    RAISE EXCEPTION 'as it was to';
END $$;

CREATE FUNCTION deposit(target text, amount bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    now bigint;
BEGIN
    UPDATE account SET value = value + amount WHERE key = target RETURNING value INTO now;
    RETURN now;
END $$;

-- The block with EXCEPTION is a transaction inside the transaction.
CREATE FUNCTION outer_call(one text, two text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    now bigint;
BEGIN
    PERFORM 1 FROM account WHERE key = least(one, two) FOR UPDATE;
    UPDATE account SET value = value + 1 WHERE key = one;
    BEGIN
        now := deposit(two, 1);
    EXCEPTION WHEN raise_exception THEN
        now := 0;
    END;
    RETURN now;
END $$;
