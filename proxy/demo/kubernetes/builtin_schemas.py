"""What `kubectl explain` tells of the built-in kinds, and what validation knows of them."""

import textwrap

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.list_keys import keys_among
from proxy.demo.kubernetes.schema_language import schemas

_METADATA = """
Metadata Identity and bookkeeping that every object has.
  name string Unique within the namespace; cannot change.
  generateName string A prefix to which the server adds a random suffix when no name is given.
  namespace string The space the name is unique in; absent on cluster-scoped kinds.
  uid string Identifies this one object for ever, also after another took its name.
  resourceVersion string Changes with every write; sent back to detect lost updates.
  generation integer Counts changes of the desired state.
  creationTimestamp time When the server stored the object first.
  deletionTimestamp time When deletion was asked for; the object goes once its finalizers are gone.
  deletionGracePeriodSeconds integer How long a graceful end may take.
  labels {string} Short texts to select objects by.
  annotations {string} Longer texts for programs; not selectable.
  finalizers [string] Who must still clean up before the object may go.
  ownerReferences [object+] The objects this one belongs to; it is removed with them.
  managedFields [object+] Which program manages which field.
  selfLink string Not used any more.
"""

_POD_SPEC = """
containers! [object+] The programs that run together.
  name! string Unique within the pod.
  image string What to run.
  command [string] Replaces the image's entry point.
  args [string] Replaces the image's arguments.
  env [object+] Environment variables.
    name! string The variable.
    value string Its value.
  ports [object+] Ports that the program listens on; informative.
    name string A name for the port.
    containerPort! integer The port.
    protocol string TCP, UDP or SCTP.
  resources object+ How much processor and memory it needs and may have.
  volumeMounts [object+] Where volumes appear in its file system.
    mountPath! string The directory.
    name! string The volume.
initContainers [object+] The programs that run to their end before the others start.
  name! string Unique within the pod.
  image string What to run.
imagePullSecrets [object+] Secrets for pulling images.
  name string The secret.
nodeName string The node it was placed on.
nodeSelector {string} Labels that a node must have.
restartPolicy string Always, OnFailure or Never.
serviceAccountName string Which account its programs act as.
volumes [object+] Storage that containers may mount.
  name! string Unique within the pod.
"""

_TEMPLATE = f"""
    template! object The pods to make.
      metadata object+ Labels and annotations of each pod.
        labels {{string}} Labels of each pod.
        annotations {{string}} Annotations of each pod.
      spec! object+ How each pod runs.
{textwrap.indent(_POD_SPEC, "        ")}
"""

_KINDS = f"""
CustomResourceDefinition A kind of object that the API did not know before.
  spec! object+ The kind.
    group! string The API group.
    scope! string Namespaced or Cluster.
    names! object+ What it is called.
      kind! string In camel case.
      plural! string In URLs.
      shortNames [string] For people who type.
      categories [string] Groups of kinds that are listed together, such as all.
    versions! [object+] Its versions.
      name! string The version in URLs.
      served boolean Whether the API answers for it.
      storage boolean Whether objects are stored in it; true for one.
      schema object+ What its objects look like.
        openAPIV3Schema any An OpenAPI schema.
      additionalPrinterColumns [object+] What is shown of an object in a table.
        name! string The column's head.
        type! string The type of its values.
        jsonPath! string Where its value is.
        priority integer Above zero: with more detail only.
        description string What it tells.
      subresources object+ status and scale.
        status object+ Present when status is written apart.
        scale object+ Present when it can be scaled.
  status object+ Whether its names were taken.
Pod A group of containers that run together on one node and share a network address.
  spec! object+ How the pod shall run.
{textwrap.indent(_POD_SPEC, "    ")}
  status object+ What became of it.
Deployment Keeps a number of identical pods running and replaces them step by step when the template changes.
  spec! object The desired state.
    replicas integer How many pods shall run.
    selector! object+ Which pods belong to it; must match the template's labels.
      matchLabels {{string}} Labels that a pod must have.
{_TEMPLATE}
    strategy object+ How old pods give way to new ones.
    minReadySeconds integer How long a new pod must be ready to count.
    revisionHistoryLimit integer How many old replica sets are kept.
    progressDeadlineSeconds integer After how long without progress the deployment counts as failed.
    paused boolean While true, template changes wait.
  status object+ The observed state.
ReplicaSet Keeps a number of identical pods running.
  spec! object The desired state.
    replicas integer How many pods shall run.
    minReadySeconds integer How long a new pod must be ready to count.
    selector! object+ Which pods belong to it.
{_TEMPLATE}
  status object+ The observed state.
Service A stable name and address for a changing set of pods.
  spec object+ Which pods, and how they are reached.
    selector {{string}} Labels of the pods that answer.
    ports [object+] The ports offered.
      name string Distinguishes several ports.
      port! integer The port of the service.
      protocol string TCP, UDP or SCTP.
      targetPort int-or-string The port of the pods.
    type string ClusterIP, NodePort, LoadBalancer or ExternalName.
    clusterIP string The virtual address.
  status object+ The observed state.
ConfigMap Configuration as named texts.
  data {{string}} Name to text.
  binaryData {{string}} Name to base64 of bytes.
  immutable boolean When true, the texts cannot change.
Secret Like a ConfigMap, for what few should read.
  data {{string}} Name to base64 of the value.
  stringData {{string}} Name to plain value; write only.
  type string What the values are, e.g. kubernetes.io/tls.
  immutable boolean When true, the values cannot change.
Namespace A space for names; in the management API, a project.
  spec object+ Holds its finalizers.
  status object+ Active or Terminating.
Node A machine of the cluster.
  spec object+ Taints, addresses of its pods, whether it takes new ones.
    unschedulable boolean When true, no new pods are placed here.
    taints [object+] What keeps pods away that do not tolerate it.
  status object+ Conditions, addresses, capacity, versions.
Event Something that happened to an object.
  involvedObject object+ To whom it happened.
  reason string A word for programs.
  message string A sentence for people.
  type string Normal or Warning.
  source object+ Who saw it.
  count integer How often.
  firstTimestamp time The first time.
  lastTimestamp time The latest time.
  eventTime time The time, for newer reporters.
  reportingComponent string Which program reported it.
  reportingInstance string Which instance of that program.
  action string What was done.
  related object+ A second object concerned.
  series object+ How it repeats.
ServiceAccount An identity for programs in pods.
  secrets [object+] Secrets its pods may use.
  imagePullSecrets [object+] Secrets for pulling images.
  automountServiceAccountToken boolean Whether pods get a token.
"""


def builtin_schema(kind: str) -> Document:
    """The schema with apiVersion, kind and metadata; a kind that is not described is open."""
    described = _DESCRIBED.get(kind)
    own = described or {"x-kubernetes-preserve-unknown-fields": True, "description": f"{kind} is served, not described."}
    return {**own, "type": "object", "properties": {**_COMMON, **own.get("properties", {})}}


def _with_merge_keys(schema: Document) -> Document:
    """Tells clients which lists a strategic merge merges by key: they leave out what they think stays."""
    for name, field in schema.get("properties", {}).items():
        items = _with_merge_keys(field.get("items", {}))
        if items.get("properties") and (keys := keys_among(name, items["properties"])):
            field |= {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": keys[0]}
        _with_merge_keys(field)
    return schema


_DESCRIBED = {kind: _with_merge_keys(schema) for kind, schema in schemas(_KINDS).items()}
_COMMON: Document = {
    "apiVersion": {"type": "string", "description": "Group and version of the kind."},
    "kind": {"type": "string", "description": "Which kind of object this is."},
    "metadata": schemas(_METADATA)["Metadata"],
}
