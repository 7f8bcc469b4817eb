"""Uploads over HTTP where the disk does not take them."""

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
