BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES('0009');
CREATE TABLE companions (
	face_id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	embedding BLOB NOT NULL, 
	version BIGINT NOT NULL, collection VARCHAR(64) DEFAULT '' NOT NULL, 
	PRIMARY KEY (face_id, model), 
	FOREIGN KEY(face_id) REFERENCES faces (id) ON DELETE CASCADE
);
INSERT INTO companions VALUES(1,'retail-0095',X'96c926bd94d532bcaeddd43d81ab283d6402d2bd8c6daab9e9891fbd4322183ca5c2cdbd0b78773c68ed703c1e98c93d9d0da23ceea4023d9a09bfbdfd1c103e2119f5bd76f88c3dc4d6a8bc765961bdf8ef27bd64f62bbdea92c23cdf4de1bb32b0bd3dec16eabdfdd349b9dc4464bde089463d837f07be83e5afbc1920573ccbe7bdbd951b7c3db2ec363ca0d2803d5b72753d64bc7abd11264cbdaf1f50bc68653f3d3cc1593d189a35bd52601bbdd9274cbd538015bd9d8773bccdeb06bcc8a9033e889501bd8fc393bc18b1ea3c0de273bd1da8bcbcf61d5a3ad018463dcd60a8bd2a79af3d9c61b4bc94682d3c21c3583d4617293d1f86873d6d47313ca99aa0bacdf7a13c67cb7ebd8a599b3d106a46bd143ea1bdd98d033efca80bbc1add96bd51fdec3daebda8bc46e3873d364254bd68a47ebc280ad8bd7a3df4bd5bdc79bd7dc19fbb83324c3d43361b3eae0584bd251a813d37a51abd9b1f1cbc0283bdbdc23abdbd753347bd31a798bd60d768b95fc433bd6205a03d1ca01c3cbf21293c9987913d8a94043dcad918bbe8b8b9bbe798f7bbfec2893d6f62483d2a45bb3cc6694c3d55570bbd1fc4023da2b3b4bd8e60ac3d1c57b83be5b63b3c7c60193d8e031fba3d0c82bc413a983dd5f4ec3bfe5c6abd52f5e03c9529dabdb4d1d33de2292fbc36dc3b3b8d6f103e1ba7093e2f12ed3bcbe51f3dcb7b8b3dfb34d73d932e06bc8c720a3cb8af9c3d72f3893cd611413dba0e1c3df33491bd93cb5bbd42f928be042085bc554cab3d00eb8dbd0ddc9d3d59c67f3db38960bbe44ff9b9eb91a93b26585cbdd87d90bc6aa53ebbe1961c3d239e4a3d580f3ebde24a533dce0c47bd97e52cbc2c1bbd3c607fb9bad7f301bc29e5893cce740dbde80227bd7eec50bc08fb753da520d0bbc4acf33d484d5b3cc9473ebea3f4e0bc9808d53d0bdacf394913e0bcc58f5fbdba5fa93d8e4e803db6f72b3d4518db3c805bb83d5923523dee589dbd43a3443d959f2d3cb4d6e1bb1758433d7471e83ae3aa3bbec042c73d86c5843dadf4fabbfa95bebc36fd673c1655a4bd18d09c3c129f6bbc43a2b4bcb9376cbd27a82dbdad8b8d3d55cfaa3df5ab003d43703abbc4a560bdaaaa373dab1cce3d8791cebdbc3d963d378b0abeaf02aebc0ad8c43cd7a4aebd9317c2bd870c3e3ceb57603d0854f3bce4f1ab3d329347bd1876e03d027cf63b12d9703c425b1d3db54ba43cc328ec3d9e270d3e21bf0b3d019c29bc0c7a96bda40941bd3175173a1c74cfbb94cf32bb6f5ba539b69bfd3c76d0acbd783483bd718b8f3def82563d041a09bd6cbba53d18152dbdd5dc80bc8d8fe9bd5ac5583d19510fbab8df883d917e353d45a1cb3b30eb293ca3cc993dc2751ebca4a111bc7227a43bd881513dac12703d9982f73dc65271bb73daa43d142520bd',5,'');
CREATE TABLE decisions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	collection VARCHAR(64) DEFAULT '' NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	keep_until VARCHAR(32) NOT NULL, 
	actor VARCHAR(80) NOT NULL, 
	request_id VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	user_id VARCHAR(255), 
	distance DOUBLE, 
	risk DOUBLE, 
	verdict VARCHAR(16) NOT NULL, 
	rule VARCHAR(16) NOT NULL, 
	model VARCHAR(160) NOT NULL
);
INSERT INTO decisions VALUES(1,'','2026-11-30T11:40:52.772926Z','2109-01-19T11:40:52.772926Z','','','search','44',0.2000000000000000111,NULL,'yes','threshold','dlib-resnet-v1');
CREATE TABLE erased (
	face_id INTEGER NOT NULL, 
	version BIGINT NOT NULL, 
	PRIMARY KEY (face_id)
);
INSERT INTO erased VALUES(3,4);
CREATE TABLE faces (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	user_id VARCHAR(255) NOT NULL, 
	name VARCHAR(255), 
	embedding BLOB NOT NULL, 
	created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL, 
	record_id VARCHAR(64) NOT NULL, 
	is_number BOOLEAN NOT NULL, 
	metadata TEXT NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	version BIGINT NOT NULL, photo_facts TEXT, collection VARCHAR(64) DEFAULT '' NOT NULL, key_id VARCHAR(32), sealed BLOB, 
	UNIQUE (record_id), 
	UNIQUE (content_hash)
);
INSERT INTO faces VALUES(1,'44','Barack Obama',X'f541bbbd6a00063e5259573c40186dbddf71853c80abd8396a76adbd42c3cabda236383e45dad7bd277f7b3e050ea53d2c4d5dbea11a0abe4e40423d4becf63d749a27bee546a0bdb4e1e5bd9c4bd9bdef9f153d2413d03befbad73db226303d822bf8bd662eacbe38d78ebd968d3abe08cfcfbae18be5bd25c5c5bd89b0a8bc814e3abe5f85dfbd98d6a93c1ca7a5bccfe91d3b601d75bb68a7513eda0fe73c6b3beebdca47c53dd39e7d3cc94c5a3ed595923ecc899d3db26e41bcf504cbbd7cb5d43df7865dbefcf8943d8b54123e7fb6a83d029f2d3dfd14c83d210c41bec00c6c3bd4edb43d4fd410be622b093c5039013c72f1a5bd3e4b25bd58e81e3ddbe3523e501acc3d41c2fbbd18ab50bd8c48073e5594edbc924ec83c286dc73ca3bc3cbeeb724dbec73469be6656be3d1935bf3e923e463ec3d255be6037a03c39b448bed2dcc53c0e167a3d7048063ccbee92bd61a20abe0cb328bdb25b583deb7aa83db46b033d12e427bd3f3b5c3e4c8f0abd56757f3d41d9973c74be683d593022be0cdd01bdf5fe23bed82f8cbda20e663c7e2e2cbd16c0fc3c2e5d173ee9026ebeff8f723d2032893b97263fbd3c9cb63c3cd28f3deaf6debc1b310abd75266e3d53e273be2bdd7e3ecaa66f3e9a6dcc3c2670313e63fc933dad070b3d752e86bc64c7b9bc74ac3abeeb4984bd44ad773de8ab9a3dda8dae3d8430dc3b','2026-11-30 03:38:57.619977','7120fca4-b2d7-44fc-85a0-f4adb78bedd5',0,'{}','dlib-resnet-v1','08aecb47963124688f73914c662dffc52f7be7dd0981b432e6c94452fdaef2f6',1,'{"adjusted": {"turned": 90}}','',NULL,NULL);
INSERT INTO faces VALUES(2,'6c08c63b-51bc-400b-99ac-2f4b03d5a738','Grace Hopper',X'30a85fbd2071f63c22bb483d21ec823d049b81bd241a8abddc7246bcf66e29becf37913d1260d0bd0cd82f3e61a5b0bd65d59ebe318a38bda742abbd74c0193e248f01bebb7ab5bd845905be69f318beb510e2bcbf81973cd251b23bbd57173c3615cbbdc3468abe0e56c9bc166c80bda4fd5a3c6fd0bebd405ed03ac260d43d3d0b1fbeb7d30fbdbe9c803dae0a103edfffd0bd75766fbdd84a9f3e81a91f3d484423be08c7193d6282693d4ce1853ebd0d7e3ec8b77bbdb2fe24bd62a526bd4b913d3ed13288be78e628bc0155543e44f91a3e15cec23d6b08b33bff6ac6bda66365bdd95f623e43577cbed8e64e3c5406c03dc40b69beab3bbdbc2486a3bc2cc9193ed1bb073e8cd10fbe74ffcfbdbf064f3e523e4dbe3690a3bc8e85a53c558d93bd833af5bde5d688be18e54b3d78aebd3e666cec3d0b23adbdd3a9fabcb6eed9bd57c69fbd21a88bbc6609413d7f2647bdf85fbabd1dcf08bd4825aa3c9f47193e7aca8a3c52b21ebdfe25203e17b20cbd3105c7bb6942a53c47dc45bb657d5bbe9d58b8bdaec206be9123b7bd1ff2adbdcc990bbea954fc3d91c0d23d50e7ffbdb21d3f3ed32579bda2b9abbcb2aa863c4037cbbc21e251bd72a7e03ce0a81f3e929f5fbe4ec7693ea88caf3dbd0c153da71bf23dfc17a63d1c79453dfb0e1fbd714d4abc8f3f0fbef14002be486bb8bb2cfe353d4525033e32184dbb','2026-11-30 03:38:57.637780','6c08c63b-51bc-400b-99ac-2f4b03d5a738',0,'{}','dlib-resnet-v1','42193ecbd0cb0af46b43259cbe2db351b7b64f82d511260c381c9f35f62efd8e',2,NULL,'',NULL,NULL);
CREATE TABLE key_destructions (
	key_id VARCHAR(32) NOT NULL, 
	PRIMARY KEY (key_id)
);
CREATE TABLE people (
	collection VARCHAR(64) DEFAULT '' NOT NULL, 
	user_id VARCHAR(255) NOT NULL, 
	expires_at DATETIME, 
	consent TEXT, 
	consent_key VARCHAR(64), 
	last_seen DATE, 
	PRIMARY KEY (collection, user_id)
);
INSERT INTO people VALUES('','44','2099-01-31 00:00:00.000000','form 44',NULL,NULL);
CREATE TABLE state (
	id INTEGER NOT NULL, 
	gallery_id VARCHAR(64) NOT NULL, 
	version BIGINT NOT NULL, 
	complete_from BIGINT NOT NULL, 
	"indexed" BIGINT NOT NULL, keystore_id VARCHAR(32), trail_on BOOLEAN DEFAULT 0 NOT NULL, trail_seq BIGINT DEFAULT '0' NOT NULL, trail_hash VARCHAR(64) DEFAULT '' NOT NULL, trail_seal VARCHAR(64) DEFAULT '' NOT NULL, trail_key VARCHAR(64) DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO state VALUES(1,'8549ceeb4535419388405a29a5b752e1',5,0,0,NULL,1,3,'b82bc2d02017d2904acdb5d614cb98c84d455dd0f8590f566c23cec833b30531','5908320f913e3c3a71c0f14978945cf3c4718bcc19bc876cb53ac03407c5f29b','58af30839091f1569d43f7e8d7242ec722ed73f45fa2049d8e8647d9946304ca');
CREATE TABLE trail (
	seq BIGINT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	actor VARCHAR(80) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	person VARCHAR(32) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	request_id VARCHAR(64) NOT NULL, 
	result VARCHAR(32) NOT NULL, 
	details TEXT NOT NULL, 
	hash_key VARCHAR(16) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO trail VALUES(1,'2026-11-30T11:40:52.732054Z','','trail','','','','on','{}','','e7d06d085d2d88c4403eef859952c2fcff6f6a45d864ef7614d3fb3ade7fb565');
INSERT INTO trail VALUES(2,'2026-11-30T11:40:52.761019Z','','read','e55f5722dd0885d4da3dccf615248409','','','ok','{}','','73ed78666bbce7a52439f07fc74fee443bf3822f4d8931d3fcbb5007041ed6bd');
INSERT INTO trail VALUES(3,'2026-11-30T11:40:52.774615Z','','match','e55f5722dd0885d4da3dccf615248409','','','yes','{}','','b82bc2d02017d2904acdb5d614cb98c84d455dd0f8590f566c23cec833b30531');
CREATE TABLE console_sessions (
	token_hash VARCHAR(64) NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	expires_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (token_hash)
);
INSERT INTO console_sessions VALUES('756e43ecc4c73ee9a35643f068888b002f3bfd60e12f6d7f24746ac3e45fae51','0000000000000000000000000000000000000000000000000000000000000000','2026-12-01T03:58:14.621446Z');
CREATE TABLE reviews (
	decision_id INTEGER NOT NULL, 
	collection VARCHAR(64) DEFAULT '' NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	actor VARCHAR(80) NOT NULL, 
	judgement VARCHAR(16) NOT NULL, 
	user_id VARCHAR(255), 
	PRIMARY KEY (decision_id), 
	FOREIGN KEY(decision_id) REFERENCES decisions (id) ON DELETE CASCADE
);
INSERT INTO reviews VALUES(1,'','2026-11-30T11:40:52.772926Z','desk','right',NULL);
CREATE TABLE posting_jobs (
	collection VARCHAR(64) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	actor VARCHAR(80) NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	stage VARCHAR(16) NOT NULL, 
	total INTEGER NOT NULL, 
	done INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	details TEXT NOT NULL, 
	PRIMARY KEY (collection, job_id)
);
INSERT INTO posting_jobs VALUES('','night','backend','2026-11-30T01:00:00.000000Z','2026-11-30T01:05:00.000000Z','done','enrolling',2,2,0,'{}');
CREATE TABLE thumbnails (
	face_id INTEGER NOT NULL, 
	collection VARCHAR(64) DEFAULT '' NOT NULL, 
	key_id VARCHAR(32) NOT NULL, 
	sealed BLOB NOT NULL, 
	expires_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (face_id), 
	FOREIGN KEY(face_id) REFERENCES faces (id) ON DELETE CASCADE
);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('faces',3);
INSERT INTO sqlite_sequence VALUES('decisions',1);
CREATE INDEX ix_faces_version ON faces (version);
CREATE INDEX ix_faces_user_id ON faces (user_id);
CREATE INDEX ix_faces_name ON faces (name);
CREATE INDEX ix_erased_version ON erased (version);
CREATE INDEX ix_companions_version ON companions (version);
CREATE TRIGGER companions_of_erased AFTER DELETE ON faces BEGIN DELETE FROM companions WHERE face_id = OLD.id; END;
CREATE INDEX ix_faces_collection ON faces (collection, id);
CREATE INDEX ix_companions_collection ON companions (collection, face_id);
CREATE INDEX ix_people_expires_at ON people (expires_at);
CREATE INDEX ix_faces_key_id ON faces (key_id);
CREATE INDEX ix_trail_person ON trail (person, seq);
CREATE INDEX ix_decisions_keep_until ON decisions (keep_until);
CREATE INDEX ix_decisions_at ON decisions (at);
CREATE INDEX ix_decisions_collection ON decisions (collection, id);
CREATE INDEX ix_decisions_user_id ON decisions (collection, user_id, id);
CREATE INDEX ix_console_sessions_expires_at ON console_sessions (expires_at);
CREATE INDEX ix_reviews_user_id ON reviews (collection, user_id);
CREATE INDEX ix_decisions_verdict ON decisions (collection, verdict, id);
CREATE INDEX ix_thumbnails_expires_at ON thumbnails (expires_at);
CREATE INDEX ix_faces_person ON faces (collection, user_id, name);
CREATE TRIGGER thumbnails_of_erased AFTER DELETE ON faces BEGIN DELETE FROM thumbnails WHERE face_id = OLD.id; END;
CREATE TRIGGER reviews_of_deleted AFTER DELETE ON decisions BEGIN DELETE FROM reviews WHERE decision_id = OLD.id; END;
COMMIT;
