"""Files over HTTP: uploads that the disk does not take, parts that a file does not have."""

import hashlib


def test_a_full_disk_is_507_and_the_same_upload_goes_on_when_there_is_room(api):
    """The part lies on /dev/full, whose every write ends as on a disk without room."""
    content = b"x" * 3_000_000
    sha256 = hashlib.sha256(content).hexdigest()
    number = next(one["id"] for one in api["admin"].get("/api/tokens").json() if one["role"] == "worker")
    part = api.parts.store.blobs.parts / f"{sha256}.{number}"
    part.symlink_to("/dev/full")
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(content))}
    answer = api["worker"].patch(f"/api/blobs/{sha256}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (507, "no room is left on the store's disk")
    assert not api.parts.store.blobs.has(sha256)
    part.unlink()
    assert api["worker"].patch(f"/api/blobs/{sha256}", content=content, headers=headers).status_code == 204
    assert api.parts.store.blobs.has(sha256)


def test_a_part_that_a_file_does_not_have_is_refused_in_json_and_one_that_it_has_comes(api):
    content = b"123456789"
    sha256 = hashlib.sha256(content).hexdigest()
    api.parts.store.blobs.put(content, sha256)
    foreign = {"bytes=9-": 416, "bytes=3-1": 400, "bytes=a-b": 400, "lines=1-2": 400, "nonsense": 400}
    for asked, status in foreign.items():
        answer = api["viewer"].get(f"/api/blobs/{sha256}", headers={"Range": asked})
        assert (answer.status_code, answer.headers["Content-Range"]) == (status, "bytes */9")
        assert answer.json()["error"].startswith(f"Range: {asked}: the file has 9 bytes; write bytes=FIRST-LAST")
    assert api["viewer"].get(f"/api/blobs/{sha256}", headers={"Range": "bytes=2-4"}).content == b"345"
