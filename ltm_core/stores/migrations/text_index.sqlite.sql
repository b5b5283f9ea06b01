-- The text index of one kind of record. `terms` is a JSON list of analysed words: brackets, quotes and commas part
-- them, every other character belongs to a word. Owner and subject stand inside the index, so that a search costs by
-- the scope and not by the database. Statements are parted by empty lines.
CREATE VIRTUAL TABLE ${kind}_words USING fts5(
  owner, subject, terms,
  content='$kind', content_rowid='seq', columnsize=0,
  tokenize="ascii tokenchars '!#$$%&()*+-./:;<=>?@\^_`{|}~'"
)

CREATE TRIGGER ${kind}_words_insert AFTER INSERT ON $kind BEGIN
  INSERT INTO ${kind}_words (rowid, owner, subject, terms) VALUES (new.seq, new.owner, new.subject, new.terms);
END

CREATE TRIGGER ${kind}_words_delete AFTER DELETE ON $kind BEGIN
  INSERT INTO ${kind}_words (${kind}_words, rowid, owner, subject, terms)
  VALUES ('delete', old.seq, old.owner, old.subject, old.terms);
END

CREATE TRIGGER ${kind}_words_update AFTER UPDATE ON $kind
WHEN old.terms IS NOT new.terms OR old.subject IS NOT new.subject OR old.owner IS NOT new.owner BEGIN
  INSERT INTO ${kind}_words (${kind}_words, rowid, owner, subject, terms)
  VALUES ('delete', old.seq, old.owner, old.subject, old.terms);
  INSERT INTO ${kind}_words (rowid, owner, subject, terms) VALUES (new.seq, new.owner, new.subject, new.terms);
END
