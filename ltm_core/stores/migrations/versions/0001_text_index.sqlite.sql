-- The text index of facts and messages. `terms` is a JSON list of analysed words: brackets, quotes and commas part
-- them, every other character belongs to a word. Owner and subject stand inside the index, so that a search costs by
-- the scope and not by the database. Statements are parted by empty lines.
CREATE VIRTUAL TABLE fact_words USING fts5(
  owner, subject, terms,
  content='fact', content_rowid='seq', columnsize=0,
  tokenize="ascii tokenchars '!#$%&()*+-./:;<=>?@\^_`{|}~'"
)

CREATE TRIGGER fact_words_insert AFTER INSERT ON fact BEGIN
  INSERT INTO fact_words (rowid, owner, subject, terms) VALUES (new.seq, new.owner, new.subject, new.terms);
END

CREATE TRIGGER fact_words_delete AFTER DELETE ON fact BEGIN
  INSERT INTO fact_words (fact_words, rowid, owner, subject, terms)
  VALUES ('delete', old.seq, old.owner, old.subject, old.terms);
END

CREATE TRIGGER fact_words_update AFTER UPDATE ON fact
WHEN old.terms IS NOT new.terms OR old.subject IS NOT new.subject OR old.owner IS NOT new.owner BEGIN
  INSERT INTO fact_words (fact_words, rowid, owner, subject, terms)
  VALUES ('delete', old.seq, old.owner, old.subject, old.terms);
  INSERT INTO fact_words (rowid, owner, subject, terms) VALUES (new.seq, new.owner, new.subject, new.terms);
END

CREATE VIRTUAL TABLE message_words USING fts5(
  owner, subject, terms,
  content='message', content_rowid='seq', columnsize=0,
  tokenize="ascii tokenchars '!#$%&()*+-./:;<=>?@\^_`{|}~'"
)

CREATE TRIGGER message_words_insert AFTER INSERT ON message BEGIN
  INSERT INTO message_words (rowid, owner, subject, terms) VALUES (new.seq, new.owner, new.subject, new.terms);
END

CREATE TRIGGER message_words_delete AFTER DELETE ON message BEGIN
  INSERT INTO message_words (message_words, rowid, owner, subject, terms)
  VALUES ('delete', old.seq, old.owner, old.subject, old.terms);
END

CREATE TRIGGER message_words_update AFTER UPDATE ON message
WHEN old.terms IS NOT new.terms OR old.subject IS NOT new.subject OR old.owner IS NOT new.owner BEGIN
  INSERT INTO message_words (message_words, rowid, owner, subject, terms)
  VALUES ('delete', old.seq, old.owner, old.subject, old.terms);
  INSERT INTO message_words (rowid, owner, subject, terms) VALUES (new.seq, new.owner, new.subject, new.terms);
END
