"""The main job: what stands around a load, from the plan to the summary.

`plan` and `scenario` say what is asked, `run` puts it together: `upstream` and `loads` start processes, `progress`
follows what they write, `watching` sees every end, `finish` has it judged. `up` and `tap` stand without a load of
ours, `sweep` and `endpoint` are the job with other questions, `live` judges while it goes on.
"""
