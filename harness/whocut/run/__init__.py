"""The main job: everything around a load, from the plan to the summary.

`plan` and `scenario` say what is asked, `run` puts it together: `upstream` and `loads` start processes, `progress`
follows what they write, `watching` sees every end, `finish` has it judged. `up` and `tap` run without a load of
ours, `sweep` and `endpoint` are the job with other questions, `live` judges while the run lasts.
"""
